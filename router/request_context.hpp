/// The state that the layers of the application share about a request, and the ways to respond to it. One per request,
/// in the coroutine frame of app::handle; used on the request's own loop only.
#pragma once

#include "base/error.hpp"
#include "net/server/server_exchange.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::router {

struct request_context {
    net::server_exchange& ex;
    std::string request_id;
    std::vector<std::string> tokens;  ///< docs/interface.md 2.5, in order.
    std::optional<int> priority;      ///< In the limiter; nullopt before it.
    std::string error_body;           ///< The beginning of the body of an error response, for the log.
    unsigned status = 0;              ///< The status to log; differs from the one sent when the response was cut off.
    bool cut = false;                 ///< The response was cut off after it had begun.
    bool client_gone = false;
    bool block = false;  ///< A block is read or written, for metrics.

    [[nodiscard]] bool is_head() const noexcept { return ex.head().method == "HEAD"; }

    /// Sends a complete response.
    [[nodiscard]] awaitable<void> reply(unsigned status_code, std::string_view body, std::string_view content_type);
    /// Sends a response without a body.
    [[nodiscard]] awaitable<void> reply_empty(unsigned status_code);
    /// Sends an error in plain text in the form of Go's http.Error; `text` without the newline.
    [[nodiscard]] awaitable<void> reply_plain_error(unsigned status_code, std::string_view text);
    /// Sends the response to an error of the store, or cuts the response off if it has begun.
    [[nodiscard]] awaitable<void> reply_error(const error&);
    /// Closes the connection in the middle of a response, so that the client does not take it for complete.
    void cut_off() noexcept;
};

inline constexpr std::string_view text_plain = "text/plain; charset=utf-8";
inline constexpr std::string_view application_json = "application/json";

}  // namespace keepstore::router
