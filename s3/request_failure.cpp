#include "cloud/request_failure.hpp"

#include "base/text.hpp"
#include "s3/bucket_address.hpp"
#include "s3/limits.hpp"
#include "cloud/time.hpp"
#include "s3/xml.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace keepstore::s3 {
namespace {

using steady = deadline::clock;
using std::chrono::milliseconds;

std::optional<steady::duration> parse_retry_after(std::string_view text) {
    const auto seconds = parse_number<unsigned>(text);
    if (!seconds) return std::nullopt;
    return std::chrono::seconds(std::min(*seconds, 3600U));
}

/// Returns whether S3, or a compatible service, has sent this head: other servers have no headers of this name.
bool has_s3_headers(const net::response& response) {
    return std::ranges::any_of(response.headers(), [](const auto& header) {
        constexpr std::string_view prefix = "x-amz-";
        return iequals(std::string_view(header.name).substr(0, prefix.size()), prefix);
    });
}

/// Classifies by its status an error that another server than S3 has sent: a proxy with its own page, a login, a
/// redirect to TLS, a load balancer without a backend. Such an error says nothing about keys, policies, regions and
/// objects, and is no throttling. \returns nullopt if the response may be S3's.
/// \param page  there is a body, without an S3 error code.
/// \param no_s3_headers  there is none of S3's headers.
std::optional<error_kind> classify_foreign(unsigned status, bool page, bool no_s3_headers) {
    switch (status) {
        case 301:
        case 302:
        case 303:
        case 307:
        case 308:
            return no_s3_headers ? std::optional(error_kind::malformed_response) : std::nullopt;
        case 401:
        case 403:
            return page && no_s3_headers ? std::optional(error_kind::malformed_response) : std::nullopt;
        case 404:
            return page ? std::optional(error_kind::malformed_response) : std::nullopt;
        case 503:
            return no_s3_headers ? std::optional(error_kind::server) : std::nullopt;
        default:
            return std::nullopt;
    }
}

bool is_region_like(std::string_view text) {
    if (text.empty() || text.size() > 64) return false;
    return std::ranges::all_of(text, [](char c) { return is_lower_or_digit(c) || c == '-'; });
}

}  // namespace

std::string printable(std::string_view text) {
    std::string out;
    for (const char c : text.substr(0, 128)) {
        if (c > 0x20 && c < 0x7f) out += c;
    }
    return out;
}

awaitable<request_failure> read_failure(operation op, net::response response, std::chrono::milliseconds local_time) {
    request_failure f{error(errc::io_error), error_kind::server, response.status()};
    bool page = false;
    std::string request_id = printable(response.get("x-amz-request-id"));
    f.from_s3 = has_s3_headers(response);
    f.region = response.get("x-amz-bucket-region");
    if (const auto date = parse_http_date(response.get("date")); date && !response.has("age")) {
        f.clock_offset = std::chrono::duration_cast<milliseconds>(date->time_since_epoch()) - local_time;
    }
    f.retry_after = parse_retry_after(response.get("retry-after")).value_or(steady::duration{});
    if (f.status == 307) {
        const auto location = net::parse_url(response.get("location"));
        if (location && location->to.tls && is_amazon_host(location->to.host)) f.location = location->to;
        if (f.location) f.from_s3 = true;
    }
    if (op != operation::head && op != operation::head_bucket) {
        // Without a readable body the status decides.
        const auto body = co_await response.read_all(limits::s3_error_bytes_max);
        if (!body && body.error() == errc::cancelled) {
            f.kind = error_kind::cancelled;
            f.what = make_error(f.kind);
            co_return f;
        }
        if (const auto document = body ? parse_error_document(*body) : std::nullopt) {
            f.code = printable(document->code);
            if (f.region.empty()) f.region = document->region;
            if (request_id.empty()) request_id = printable(document->request_id);
        }
        page = body && !body->empty();
    }
    if (!is_region_like(f.region)) f.region.clear();
    f.kind = classify(f.status, f.code);
    const auto foreign = f.code.empty() ? classify_foreign(f.status, page, !f.from_s3) : std::nullopt;
    if (foreign) f.kind = *foreign;
    const auto detail =
        foreign ? fmt::format("S3 {}: {} without an S3 error code", to_string(op), f.status)
                : fmt::format("S3 {}: {}{}{} (request {})", to_string(op), f.status, f.code.empty() ? "" : " ", f.code,
                              request_id.empty() ? "unnamed" : request_id);
    f.what = make_error(f.kind, detail);
    co_return f;
}

}  // namespace keepstore::s3
