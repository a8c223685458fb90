#include "router/request_context.hpp"

#include "router/limits.hpp"
#include "router/status.hpp"

namespace keepstore::router {

awaitable<void> request_context::reply(unsigned status_code, std::string_view body, std::string_view content_type) {
    status = status_code;
    if (status_code >= 400) error_body = body.substr(0, limits::logged_body_bytes_max);
    if (!content_type.empty()) ex.set_header("Content-Type", content_type);
    const auto sent = co_await ex.send(status_code, body);
    // The log must show that the client did not get the response.
    if (!sent && ex.cancelled_because() == net::cancel_reason::client_gone) status = status_client_gone;
}

awaitable<void> request_context::reply_empty(unsigned status_code) {
    co_await reply(status_code, {}, {});
}

awaitable<void> request_context::reply_plain_error(unsigned status_code, std::string_view text) {
    ex.set_header("X-Content-Type-Options", "nosniff");
    std::string body(text);
    body += '\n';
    co_await reply(status_code, body, text_plain);
}

awaitable<void> request_context::reply_error(const error& e) {
    const net::cancel_reason why = ex.cancelled_because();
    client_gone = why == net::cancel_reason::client_gone;
    if (ex.response_started()) {
        cut_off();
        co_return;
    }
    const unsigned status_code = status_of(e.code, why);
    if (client_gone) {
        co_await reply_empty(status_code);
        co_return;
    }
    std::string body(why == net::cancel_reason::none ? std::string_view(e.text) : text_of(why));
    body += '\n';
    co_await reply(status_code, body, text_plain);
}

void request_context::cut_off() noexcept {
    const net::cancel_reason why = ex.cancelled_because();
    cut = true;
    // A response cut short by the client (gone, or too slow) is logged as 499 (docs/compatibility.md).
    const bool by_client = why == net::cancel_reason::client_gone || why == net::cancel_reason::too_slow;
    status = by_client ? status_client_gone : ex.status();
    ex.abort();
}

}  // namespace keepstore::router
