#include "s3/request_failure.hpp"

#include "base/text.hpp"
#include "s3/bucket_address.hpp"
#include "s3/error.hpp"
#include "s3/limits.hpp"
#include "s3/xml.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace keepstore::s3 {
namespace {

using cloud::printable;

bool is_region_like(std::string_view text) {
    if (text.empty() || text.size() > 64) return false;
    return std::ranges::all_of(text, [](char c) { return is_lower_or_digit(c) || c == '-'; });
}

}  // namespace

awaitable<request_failure> read_failure(operation op, net::response response, std::chrono::milliseconds local_time) {
    request_failure f{cloud::begin_failure(response, local_time)};
    bool page = false;
    std::string request_id = printable(response.get("x-amz-request-id"));
    f.from_s3 = cloud::has_header_prefix(response, "x-amz-");
    f.region = response.get("x-amz-bucket-region");
    if (f.status == 307) {
        const auto location = net::parse_url(response.get("location"));
        if (location && location->to.tls && is_amazon_host(location->to.host)) f.location = location->to;
        if (f.location) f.from_s3 = true;
    }
    if (op != operation::head && op != operation::head_bucket) {
        // Without a readable body the status decides.
        const auto body = co_await response.read_all(limits::cloud_error_bytes_max);
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
    const auto foreign = f.code.empty() ? cloud::classify_foreign(f.status, page, !f.from_s3) : std::nullopt;
    if (foreign) f.kind = *foreign;
    const auto detail =
        foreign ? fmt::format("S3 {}: {} without an S3 error code", to_string(op), f.status)
                : fmt::format("S3 {}: {}{}{} (request {})", to_string(op), f.status, f.code.empty() ? "" : " ", f.code,
                              request_id.empty() ? "unnamed" : request_id);
    f.what = make_error(f.kind, detail);
    co_return f;
}

}  // namespace keepstore::s3
