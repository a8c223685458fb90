#include "router/access_log.hpp"

#include "base/log.hpp"
#include "net/server/reason_phrase.hpp"
#include "router/redact.hpp"
#include "router/status.hpp"

#include <array>
#include <cstdint>
#include <span>

namespace keepstore::router {
namespace {

using log::field;

constexpr std::size_t request_fields = 8;

std::array<field, request_fields> fields_of(const request_context& request, std::string_view path,
                                            std::string_view query) {
    const net::request_head& head = request.ex.head();
    // -1 is "unknown", 0 "no body", as Go's Request.ContentLength.
    const std::int64_t bytes = head.content_length ? static_cast<std::int64_t>(*head.content_length)
                                                   : (head.chunked ? std::int64_t{-1} : std::int64_t{0});
    return {field("RequestID", request.request_id),
            field("remoteAddr", request.ex.remote_address()),
            field("reqBytes", bytes),
            field("reqForwardedFor", head.get("X-Forwarded-For")),
            field("reqHost", head.get("Host")),
            field("reqMethod", head.method),
            field("reqPath", path),
            field("reqQuery", query)};
}

log::seconds_value seconds(std::chrono::steady_clock::duration d) {
    return {std::chrono::duration<double>(d).count()};
}

}  // namespace

access_log::access_log(const request_context& request) : request_(request), enabled_(log::enabled(log::level::info)) {
    if (!enabled_) return;
    const net::request_head& head = request.ex.head();
    const std::string_view path = head.path;
    path_ = redact_text(path.starts_with('/') ? path.substr(1) : path);
    query_ = redact_query(head.query);
    const auto fields = fields_of(request_, path_, query_);
    log::write(log::level::info, "request", std::span<const field>(fields));
}

std::chrono::steady_clock::duration access_log::time_to_status(const net::server_exchange& ex,
                                                               std::chrono::steady_clock::time_point now) {
    return (ex.response_started() ? ex.response_started_at() : now) - ex.started_at();
}

void access_log::finish(std::chrono::steady_clock::time_point now) const {
    if (!enabled_) return;
    const net::server_exchange& ex = request_.ex;
    const auto to_status = time_to_status(ex, now);
    const auto total = now - ex.started_at();
    std::vector<field> fields;
    fields.reserve(request_fields + 10);
    for (const field& f : fields_of(request_, path_, query_)) fields.push_back(f);
    if (request_.priority) {
        fields.emplace_back("priority", *request_.priority);
        fields.emplace_back("queue", "api");
    }
    std::string body;
    if (request_.status >= 400) {
        body = redact_text(request_.error_body);
        fields.emplace_back("respBody", body);
    }
    if (request_.cut) fields.emplace_back("respCut", true);
    fields.emplace_back("respBytes", ex.response_body_bytes());
    fields.emplace_back("respStatus", net::reason_phrase(request_.status));
    fields.emplace_back("respStatusCode", request_.status);
    fields.emplace_back("timeToStatus", seconds(to_status));
    fields.emplace_back("timeTotal", seconds(total));
    fields.emplace_back("timeWriteBody", seconds(total - to_status));
    log::write(log::level::info, "response", fields);
}

}  // namespace keepstore::router
