#include "router/status_page/status_page.hpp"

#include "base/json.hpp"
#include "net/http/text.hpp"
#include "router/access_log.hpp"
#include "router/limits.hpp"
#include "router/redact.hpp"
#include "router/status_page/status_html.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace keepstore::router {
namespace {

constexpr std::string_view page_path = "/_status";
constexpr std::string_view json_path = "/_status.json";
constexpr std::string_view text_html = "text/html; charset=utf-8";

// Takes the port off: "127.0.0.1:1234", "[::1]:1234", "localhost".
std::string_view without_port(std::string_view address) noexcept {
    if (address.starts_with('[')) {
        const auto end = address.find(']');
        return end == std::string_view::npos ? std::string_view{} : address.substr(1, end - 1);
    }
    return address.substr(0, address.find(':'));
}

bool is_loopback(std::string_view host) noexcept {
    if (host.starts_with("::ffff:")) host.remove_prefix(7);
    const auto dotted = [](char c) { return (c >= '0' && c <= '9') || c == '.'; };
    return host == "::1" || (host.starts_with("127.") && std::ranges::all_of(host, dotted));
}

void set_common_headers(net::server_exchange& ex) {
    ex.set_header("Cache-Control", "no-store");
    ex.set_header("X-Content-Type-Options", "nosniff");
    ex.set_header("Referrer-Policy", "no-referrer");
    ex.set_header("Cross-Origin-Resource-Policy", "same-origin");
}

}  // namespace

bool is_local_request(const net::request_head& head, std::string_view remote_address) noexcept {
    for (const std::string_view passed_on : {"X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"})
        if (head.has(passed_on)) return false;
    const std::string_view host = without_port(head.get("Host"));
    return is_loopback(without_port(remote_address)) && (is_loopback(host) || iequals(host, "localhost"));
}

awaitable<bool> status_page::serve(request_context& request) {
    net::server_exchange& ex = request.ex;
    const net::request_head& head = ex.head();
    const bool json = head.path == json_path;
    if (!json && head.path != page_path) co_return false;
    set_common_headers(ex);
    const bool post = head.method == "POST" && !json;
    if (!post && head.method != "GET" && head.method != "HEAD") {
        ex.set_header("Allow", json ? "GET, HEAD, OPTIONS" : "GET, HEAD, POST, OPTIONS");
        if (head.method == "OPTIONS") {
            co_await request.reply_empty(200);
        } else {
            co_await request.reply(405, "Method Not Allowed\n", text_plain);
        }
        co_return true;
    }
    auto tokens = authorization_tokens(head.get("Authorization"));
    if (post) {
        ex.set_deadline(deadline::in(limits::status_form_wait));
        const auto form = co_await ex.read_body(limits::status_form_bytes_max);
        if (!form) {
            co_await request.reply_error(form.error());
            co_return true;
        }
        for (auto& token : query_values(*form, "token")) tokens.push_back(std::move(token));
    }
    const admission who = admit(request, tokens);
    if (who != admission::granted) {
        co_await refuse(request, who, json);
        co_return true;
    }
    const auto values = values_.gather();
    if (json) {
        const std::string body = json_to_text(values) + "\n";
        co_await request.reply(200, body, application_json);
    } else {
        co_await send_page(request, 200, status_html(values));
    }
    co_return true;
}

admission status_page::admit(const request_context& request, const std::vector<std::string>& tokens) const {
    if (management_token_.empty() && is_local_request(request.ex.head(), request.ex.remote_address()))
        return admission::granted;
    return require_literal_token(management_token_, tokens, admission::forbidden);
}

awaitable<void> status_page::send_page(request_context& request, unsigned status, std::string html) const {
    request.ex.set_header("Content-Security-Policy", status_content_policy());
    co_await request.reply(status, html, text_html);
}

awaitable<void> status_page::refuse(request_context& request, admission why, bool json) const {
    if (management_token_.empty()) {
        co_await request.reply(403,
                               "Forbidden: without a ManagementToken in the configuration the status page is for "
                               "requests from this host only\n",
                               text_plain);
    } else if (json) {
        const bool unauthorized = why == admission::unauthorized;
        co_await request.reply(unauthorized ? 401 : 403, unauthorized ? "Unauthorized\n" : "Forbidden\n", text_plain);
    } else if (why == admission::unauthorized) {
        co_await send_page(request, 401, status_login_html(""));
    } else {
        co_await send_page(request, 403, status_login_html("This is not the ManagementToken."));
    }
}

void status_page::count_request(const request_context& request, std::chrono::steady_clock::time_point now) {
    const net::server_exchange& ex = request.ex;
    values_.count_request({.method = ex.head().method,
                           .status = request.status,
                           .cut = request.cut,
                           .at = now,
                           .to_status = access_log::time_to_status(ex, now),
                           .to_end = now - ex.started_at()});
    const bool failed = request.status >= 500 || (request.cut && request.status < 400);
    if (!failed) return;
    std::string details = redact_text(request.error_body);
    if (details.ends_with('\n')) details.pop_back();
    if (request.cut) details = "the response was cut off";
    values_.failed_requests().add(
        {.at = std::chrono::system_clock::now(),
         .level = "error",
         .request_id = request.request_id,
         .message = fmt::format("{} {} {}", request.status, ex.head().method, redact_text(ex.head().path)),
         .details = std::move(details)});
}

}  // namespace keepstore::router
