/// What the layers of the application know about the request they are handling. One per request, in the coroutine frame
/// of app::handle; used on the request's own loop only.
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
    std::optional<int> priority;      ///< In the limiter, once it got there.
    std::string error_body;           ///< The beginning of the body of an error answer, for the log.
    unsigned status = 0;              ///< What the log says; differs from what was sent when the answer was cut off.
    bool cut = false;                 ///< The answer was cut off after it had begun.
    bool client_gone = false;

    [[nodiscard]] bool is_head() const noexcept { return ex.head().method == "HEAD"; }

    /// Sends a complete answer.
    [[nodiscard]] awaitable<void> reply(unsigned status_code, std::string_view body, std::string_view content_type);
    /// An answer without a body.
    [[nodiscard]] awaitable<void> reply_empty(unsigned status_code);
    /// An error in plain text as Go's http.Error sends it; `text` without the newline.
    [[nodiscard]] awaitable<void> reply_plain_error(unsigned status_code, std::string_view text);
    /// The answer to an error of the core; cuts the answer off if it has begun.
    [[nodiscard]] awaitable<void> reply_error(const error&);
    /// Cuts off an answer that has begun: the client must notice.
    void cut_off() noexcept;
};

inline constexpr std::string_view text_plain = "text/plain; charset=utf-8";
inline constexpr std::string_view application_json = "application/json";

}  // namespace keepstore::router
