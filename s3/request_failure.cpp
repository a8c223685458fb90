#include "s3/request_failure.hpp"

#include "base/text.hpp"
#include "s3/bucket_address.hpp"
#include "s3/client_core.hpp"
#include "s3/xml.hpp"

#include <algorithm>

namespace keepstore::s3 {
namespace {

bool is_region_like(std::string_view text) {
    if (text.empty() || text.size() > 64) return false;
    return std::ranges::all_of(text, [](char c) { return is_lower_or_digit(c) || c == '-'; });
}

}  // namespace

awaitable<request_failure> read_failure(failed_request request, net::response response) {
    request_failure f{begin_failure(request, response)};
    bool page = false;
    std::string request_id = printable(response.get("x-amz-request-id"));
    f.from_s3 = has_header_prefix(response, "x-amz-");
    f.region = response.get("x-amz-bucket-region");
    if (f.status == 307) {
        const auto location = net::parse_url(response.get("location"));
        if (location && location->to.tls && is_amazon_host(location->to.host)) f.location = location->to;
        if (f.location) f.from_s3 = true;
    }
    if (!request.is_head) {
        const auto body = co_await read_error_body(response);
        if (!body) {
            f.kind = error_kind::cancelled;
            f.what = make_error(f.kind);
            co_return f;
        }
        if (const auto document = parse_error_document(*body)) {
            f.code = printable(document->code);
            if (f.region.empty()) f.region = document->region;
            if (request_id.empty()) request_id = printable(document->request_id);
        }
        page = !body->empty();
    }
    if (!is_region_like(f.region)) f.region.clear();
    f.kind = classify(f.status, f.code);
    finish_failure(f, s3_traits, request, {.page = page, .unmarked = !f.from_s3, .id = request_id});
    co_return f;
}

}  // namespace keepstore::s3
