#include "router/health.hpp"

#include "base/json.hpp"
#include "net/http/text.hpp"
#include "router/html.hpp"

#include <nlohmann/json.hpp>

namespace keepstore::router {
namespace {

constexpr std::string_view ping_path = "/_health/ping";

// Returns whether a path equals /_health/ping except for letter case, doubled slashes, dot segments or a final slash;
// such paths are redirected (docs/interface.md 2.4).
bool resembles_ping(std::string_view path) {
    std::vector<std::string> parts;
    while (!path.empty()) {
        const std::string_view part = take_part(path, '/');
        if (part.empty() || part == ".") continue;
        if (part == "..") {
            if (!parts.empty()) parts.pop_back();
            continue;
        }
        parts.push_back(lower_case(part));
    }
    return parts == std::vector<std::string>{"_health", "ping"};
}

}  // namespace

health::readiness health::check() const {
    readiness out{true, {}};
    if (draining()) {
        out.ready = false;
        out.reasons.emplace_back("service is shutting down");
    }
    bool any_volume = false;
    for (const store::mount& m : mounts_.all()) {
        const std::string trouble = m.volume->health();
        if (trouble.empty()) {
            any_volume = true;
        } else {
            out.reasons.push_back("volume " + m.uuid + ": " + trouble);
        }
    }
    if (!any_volume) out.ready = false;
    return out;
}

awaitable<bool> health::serve_probe(request_context& request) const {
    const net::request_head& head = request.ex.head();
    if (head.method != "GET" && head.method != "HEAD") co_return false;
    if (head.path == "/_health/live") {
        co_await request.reply(200, "{\"health\":\"OK\"}\n", application_json);
        co_return true;
    }
    if (head.path != "/_health/ready") co_return false;
    const readiness now = check();
    nlohmann::ordered_json body{{"health", now.ready ? "OK" : "ERROR"}};
    if (!now.reasons.empty()) body["reasons"] = now.reasons;
    const std::string text = json_to_text(body) + "\n";
    co_await request.reply(now.ready ? 200 : 503, text, application_json);
    co_return true;
}

awaitable<bool> health::serve_ping(request_context& request) const {
    net::server_exchange& ex = request.ex;
    const net::request_head& head = ex.head();
    const bool get = head.method == "GET";
    if (head.path == ping_path || head.path == "*") {
        if (get && head.path == ping_path) {
            if (management_token_.empty()) {
                co_await request.reply_plain_error(404, "disabled");
            } else if (!ex.head().has("Authorization")) {
                co_await request.reply_plain_error(401, "authorization required");
            } else if (!is_exact_bearer(head.get("Authorization"), management_token_)) {
                co_await request.reply_plain_error(403, "authorization error");
            } else if (draining()) {
                co_await request.reply(200, "{\"error\":\"service is shutting down\",\"health\":\"ERROR\"}\n",
                                       application_json);
            } else {
                co_await request.reply(200, "{\"health\":\"OK\"}\n", application_json);
            }
            co_return true;
        }
        ex.set_header("Allow", "GET, OPTIONS");
        if (head.method == "OPTIONS") {
            co_await request.reply_empty(200);
        } else {
            co_await request.reply_plain_error(405, "Method Not Allowed");
        }
        co_return true;
    }
    // The cheap tests come first: every block read passes here.
    if (!get || head.path.size() > 256 || head.path.find_first_of("_") == std::string::npos ||
        !resembles_ping(head.path))
        co_return false;
    std::string location(ping_path);
    if (!head.query.empty()) {
        location += '?';
        location += head.query;
    }
    ex.set_header("Location", location);
    const std::string body = "<a href=\"" + html_escaped(location) + "\">Moved Permanently</a>.\n\n";
    co_await request.reply(301, body, "text/html; charset=utf-8");
    co_return true;
}

}  // namespace keepstore::router
