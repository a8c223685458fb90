/// What the sources of credentials share: the environment, threads for files and commands, and small HTTP exchanges.
#pragma once

#include "base/async.hpp"
#include "base/blocking_pool.hpp"
#include "base/deadline.hpp"
#include "net/client/http_client.hpp"
#include "s3/credentials/credentials.hpp"

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

/// Shared by the sources of one cache. Constant after construction.
struct source_context {
    environment env;
    std::string region;  ///< For STS, where the profile names none.
    wall_clock now;
    /// What AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is relative to.
    std::string container_service;
    net::client http;
    std::unique_ptr<blocking_pool> threads;  ///< Files may be on a network file system; commands take their time.
};

struct small_reply {
    unsigned status = 0;
    std::string body;
    /// The clock of who answered minus ours, by the Date of the answer; 0 if it has none.
    std::chrono::milliseconds clock_offset{0};
};

/// Sends the request, up to three times if the network or the server fails (5xx, 429), and reads the whole answer.
/// Any other status is for the caller to judge.
[[nodiscard]] awaitable<result<small_reply>> fetch_small(const source_context& context, net::request request,
                                                         deadline until);

/// The content of a file of at most limits::credentials_bytes_max, read on a thread of the context.
/// errc::not_found if there is none; error_kind::bad_credentials if there is one that cannot be read; anything else is
/// no word about the file. Texts name it: it is configuration, not data.
[[nodiscard]] awaitable<result<std::string>> read_small_file(const source_context& context, std::string path,
                                                             deadline until);

/// Keys as JSON: AccessKeyId, SecretAccessKey, Token or SessionToken, Expiration (instance metadata, containers,
/// credential_process). Expiration is required if `temporary`, and by the clock that differs from ours by
/// `clock_offset`.
[[nodiscard]] result<credentials> parse_json_credentials(std::string_view body, std::string source, bool temporary,
                                                         std::chrono::milliseconds clock_offset = {});

/// A header value made from a file or variable: without the line end, refused if it has controls in it.
[[nodiscard]] result<std::string> clean_token(std::string token, std::string_view what);

}  // namespace keepstore::s3
