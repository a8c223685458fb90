#include "s3/client_calls.hpp"

#include "base/text.hpp"

#include <fmt/format.h>

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

/// The payload hash for data: that of an empty body, or UNSIGNED-PAYLOAD (s3/sigv4.hpp).
std::string data_payload_hash(const upload_body& body) {
    return std::string(body.size() == 0 ? empty_payload_hash : unsigned_payload);
}

}  // namespace

awaitable<result<void>> run_plain(std::shared_ptr<client_core> core, call c, deadline until) {
    retry_session session(core->retries(), until);
    const response_check check = refuse_error_body;
    KS_CO_CHECK(co_await core->run(std::move(c), check, session, until));
    co_return success();
}

awaitable<result<put_result>> run_upload(std::shared_ptr<client_core> core, call c, deadline until) {
    const auto threshold = core->options().expect_continue_bytes_min;
    c.is_data = true;
    c.payload_hash = data_payload_hash(c.body);
    c.expect_continue = threshold > 0 && c.body.size() >= threshold;
    put_result out;
    const response_check check = [&](const full_response& got) -> result<void> {
        KS_CHECK(refuse_error_body(got));
        out.etag = strip_quotes(got.response.get("etag"));
        if (out.etag.empty())
            return std::unexpected(make_error(error_kind::malformed_response, "no ETag in the response"));
        out.etag_is_opaque = got.response.get("x-amz-server-side-encryption").starts_with("aws:kms") ||
                             got.response.has("x-amz-server-side-encryption-customer-algorithm");
        out.date = parse_http_date(got.response.get("date"));
        return success();
    };
    retry_session session(core->retries(), until);
    KS_CO_CHECK(co_await core->run(std::move(c), check, session, until));
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

error listing_does_not_advance(operation op) {
    return {errc::io_error,
            fmt::format("S3 {}: a page of the listing does not begin after the previous one: this service ignores "
                        "continuation tokens, and its listings cannot be used.",
                        to_string(op)),
            make_error_code(error_kind::unsupported)};
}

}  // namespace keepstore::s3
