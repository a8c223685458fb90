/// Shared by the sources of credentials: small files and small HTTP requests.
#pragma once

#include "base/async.hpp"
#include "base/blocking_pool.hpp"
#include "base/deadline.hpp"
#include "cloud/credentials/credentials.hpp"
#include "net/client/http_client.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace keepstore::cloud {

struct small_response {
    unsigned status = 0;
    std::string body;
    /// The server's clock minus ours, by the Date of the response; 0 without a Date.
    std::chrono::milliseconds clock_offset{0};
};

/// Sends the request, up to three times if the network or the server fails (5xx, 429), and
/// reads the whole response. The caller has to check the status.
[[nodiscard]] awaitable<result<small_response>> fetch_small(const net::client& http, wall_clock now,
                                                            net::request request, deadline until);

/// Reads a file of at most limits::credentials_bytes_max, on a thread of the pool. errc::not_found if there is none;
/// error_kind::bad_credentials if it cannot be read; any other error (timeout, cancelled) says nothing about the file.
/// Texts contain its path, since it is configuration, not data.
[[nodiscard]] awaitable<result<std::string>> read_small_file(blocking_pool& threads, std::string path, deadline until);

/// Makes a header value from the content of a file or variable `what`: removes the line end; errc::unavailable if it
/// has control characters or is empty.
[[nodiscard]] result<std::string> clean_token(std::string token, std::string_view what);

}  // namespace keepstore::cloud
