#include "cloud/request_failure.hpp"

#include "base/text.hpp"
#include "cloud/time.hpp"

#include <algorithm>

namespace keepstore::cloud {
namespace {

using steady = deadline::clock;

std::optional<steady::duration> parse_retry_after(std::string_view text) {
    const auto seconds = parse_number<unsigned>(text);
    if (!seconds) return std::nullopt;
    return std::chrono::seconds(std::min(*seconds, 3600U));
}

}  // namespace

request_failure begin_failure(const net::response& response, std::chrono::milliseconds local_time) {
    request_failure f{error(errc::io_error), error_kind::server, response.status()};
    if (const auto date = parse_http_date(response.get("date")); date && !response.has("age")) {
        f.clock_offset = std::chrono::duration_cast<std::chrono::milliseconds>(date->time_since_epoch()) - local_time;
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

}  // namespace keepstore::cloud
