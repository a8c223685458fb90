/// Shared by the sources of credentials: the environment, threads for files and commands, and small HTTP requests.
#pragma once

#include "base/async.hpp"
#include "base/blocking_pool.hpp"
#include "base/deadline.hpp"
#include "net/client/http_client.hpp"
#include "cloud/credentials/credentials.hpp"
#include "s3/limits.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace keepstore::s3 {

/// Environment variables; absent and empty are the same.
using environment = std::function<std::optional<std::string>(std::string_view name)>;
[[nodiscard]] environment process_environment();

/// Context of the sources of one cache. Constant after construction.
struct source_context {
    environment env;
    std::string region;  ///< For STS, if the profile has none.
    wall_clock now;
    /// The base of AWS_CONTAINER_CREDENTIALS_RELATIVE_URI.
    std::string container_service;
    net::client http;  ///< For services of this host, which no proxy leads to.
    net::client sts;
    std::unique_ptr<blocking_pool> threads;  ///< For files, which may be on a network file system, and commands.
};

struct small_response {
    unsigned status = 0;
    std::string body;
    /// The server's clock minus ours, by the Date of the response; 0 without a Date.
    std::chrono::milliseconds clock_offset{0};
};

/// Sends the request by a client of the context, up to three times if the network or the server fails (5xx, 429), and
/// reads the whole response. The caller has to check the status.
[[nodiscard]] awaitable<result<small_response>> fetch_small(const net::client& http, wall_clock now,
                                                            net::request request, deadline until);

/// Reads a file of at most limits::credentials_bytes_max, on a thread of the context. errc::not_found if there is none;
/// error_kind::bad_credentials if it cannot be read; any other error (timeout, cancelled) says nothing about the file.
/// Texts contain its path, since it is configuration, not data.
[[nodiscard]] awaitable<result<std::string>> read_small_file(const source_context& context, std::string path,
                                                             deadline until);

/// Parses keys as JSON: AccessKeyId, SecretAccessKey, Token or SessionToken, Expiration (instance metadata, containers,
/// credential_process). Expiration is required if `temporary`; it is by the clock that is `clock_offset` ahead of ours.
[[nodiscard]] result<credentials> parse_json_credentials(std::string_view body, std::string source, bool temporary,
                                                         std::chrono::milliseconds clock_offset = {});

/// Makes a header value from the content of a file or variable `what`: removes the line end; errc::unavailable if it
/// has control characters or is empty.
[[nodiscard]] result<std::string> clean_token(std::string token, std::string_view what);

}  // namespace keepstore::s3
