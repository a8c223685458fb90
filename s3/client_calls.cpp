#include "s3/client_calls.hpp"

#include "base/text.hpp"

#include <algorithm>

namespace keepstore::s3 {
namespace {

/// Rejects an error document in the body of a 200, which some services send to anything but a GET.
result<void> refuse_error_body(const full_response& got) {
    if (got.body.empty()) return success();
    const auto document = parse_error_document(got.body);
    if (!document) return success();
    return std::unexpected(make_error(classify(500, document->code), document->code));
}

}  // namespace

awaitable<result<void>> run_plain(std::shared_ptr<client_core> core, call c, deadline until) {
    KS_CO_CHECK(co_await core->run(std::move(c), refuse_error_body, until));
    co_return success();
}

awaitable<result<put_result>> run_upload(std::shared_ptr<client_core> core, call c, deadline until) {
    c.is_data = true;
    put_result out;
    const response_check check = [&](const full_response& got) -> result<void> {
        KS_CHECK(refuse_error_body(got));
        out.etag = strip_quotes(got.response.get("etag"));
        if (out.etag.empty()) return cloud::lacks(s3_traits, "ETag");
        out.etag_is_opaque = got.response.get("x-amz-server-side-encryption").starts_with("aws:kms") ||
                             got.response.has("x-amz-server-side-encryption-customer-algorithm");
        out.date = parse_http_date(got.response.get("date"));
        return success();
    };
    KS_CO_CHECK(co_await core->run(std::move(c), check, until));
    co_return out;
}

result<void> add_metadata(name_values& headers, const name_values& metadata) {
    for (const auto& [name, value] : metadata) {
        const bool good_name = !name.empty() && std::ranges::all_of(name, [](char c) {
            return is_lower_or_digit(c) || c == '-' || c == '_' || c == '.';
        });
        const bool good_value = std::ranges::all_of(value, [](char c) { return c >= 0x20 && c < 0x7f; });
        if (!good_name || !good_value) return fail(errc::bad_request, "metadata that cannot be a header");
        headers.emplace_back("x-amz-meta-" + name, value);
    }
    return success();
}

void add_content_md5(name_values& headers, const std::optional<md5_digest>& digest) {
    if (digest) headers.emplace_back("content-md5", cloud::encode_content_md5(*digest));
}

error repeated_page(operation op) {
    return cloud::listing_does_not_advance(s3_traits, to_string(op), "continuation tokens");
}

}  // namespace keepstore::s3
