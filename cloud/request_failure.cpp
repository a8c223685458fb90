#include "cloud/request_failure.hpp"

#include "base/text.hpp"
#include "cloud/limits.hpp"
#include "cloud/time.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace keepstore::cloud {
namespace {

using steady = deadline::clock;

std::optional<steady::duration> parse_retry_after(std::string_view text) {
    const auto seconds = parse_number<unsigned>(text);
    if (!seconds) return std::nullopt;
    return std::chrono::seconds(std::min(*seconds, 3600U));
}

/// Classifies by its status an error that another server than the service has sent: a proxy with its own page, a login,
/// a redirect to TLS, a load balancer without a backend. Such an error says nothing about keys, policies, regions and
/// objects, and is no throttling. \returns nullopt if the response may be the service's.
std::optional<error_kind> classify_foreign(unsigned status, bool page, bool unmarked) {
    switch (status) {
        case 301:
        case 302:
        case 303:
        case 307:
        case 308:
            return unmarked ? std::optional(error_kind::malformed_response) : std::nullopt;
        case 401:
        case 403:
            return page && unmarked ? std::optional(error_kind::malformed_response) : std::nullopt;
        case 404:
            return page ? std::optional(error_kind::malformed_response) : std::nullopt;
        case 503:
            return unmarked ? std::optional(error_kind::server) : std::nullopt;
        default:
            return std::nullopt;
    }
}

}  // namespace

request_failure begin_failure(const failed_request& request, const net::response& response) {
    request_failure f{error(errc::io_error), error_kind::server, response.status()};
    if (const auto date = parse_http_date(response.get("date")); date && !response.has("age")) {
        f.clock_offset =
            std::chrono::duration_cast<std::chrono::milliseconds>(date->time_since_epoch()) - request.local_time;
    }
    f.retry_after = parse_retry_after(response.get("retry-after")).value_or(steady::duration{});
    return f;
}

std::string printable(std::string_view text) {
    std::string out;
    for (const char c : text.substr(0, 128)) {
        if (c > 0x20 && c < 0x7f) out += c;
    }
    return out;
}

bool has_header_prefix(const net::response& response, std::string_view prefix) {
    return std::ranges::any_of(response.headers(), [&](const auto& header) {
        return iequals(std::string_view(header.name).substr(0, prefix.size()), prefix);
    });
}

awaitable<std::optional<std::string>> read_error_body(net::response& response) {
    auto body = co_await response.read_all(limits::cloud_error_bytes_max);
    if (body) co_return std::move(*body);
    if (body.error() == errc::cancelled) co_return std::nullopt;
    co_return std::string();
}

void finish_failure(request_failure& f, const service_traits& service, const failed_request& request,
                    const response_marks& marks) {
    const auto foreign = f.code.empty() ? classify_foreign(f.status, marks.page, marks.unmarked) : std::nullopt;
    if (foreign) f.kind = *foreign;
    const auto detail =
        foreign ? fmt::format("{0} {1}: {2} without an {0} error code", service.name, request.operation, f.status)
                : fmt::format("{} {}: {}{}{} (request {})", service.name, request.operation, f.status,
                              f.code.empty() ? "" : " ", f.code, marks.id.empty() ? "unnamed" : marks.id);
    f.what = service.make_error(f.kind, detail);
}

}  // namespace keepstore::cloud
