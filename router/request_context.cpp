#include "router/request_context.hpp"

#include "base/limits.hpp"
#include "router/status.hpp"

namespace keepstore::router {

awaitable<void> request_context::reply(unsigned status_code, std::string_view body, std::string_view content_type) {
    status = status_code;
    if (status_code >= 400) error_body = body.substr(0, limits::logged_body_bytes_max);
    if (!content_type.empty()) ex.set_header("Content-Type", content_type);
    const auto sent = co_await ex.send(status_code, body);
    // Nobody is there to be told; the log says that the client did not get it.
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
    // Whoever did not get the whole answer because of himself is logged as having left (docs/compatibility.md).
    const bool clients_doing = why == net::cancel_reason::client_gone || why == net::cancel_reason::too_slow;
    status = clients_doing ? status_client_gone : ex.status();
    ex.abort();
}

}  // namespace keepstore::router
