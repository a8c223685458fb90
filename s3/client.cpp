#include "s3/client.hpp"

#include "base/base64.hpp"
#include "base/hex.hpp"
#include "base/text.hpp"
#include "net/http/text.hpp"
#include "s3/client_core.hpp"
#include "s3/download.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>

namespace keepstore::s3 {
namespace {

result<void> accept_any(const full_response&) {
    return success();
}

/// Rejects an error document in the body of a 200, which some services send to anything but a GET.
result<void> refuse_error_body(const full_response& got) {
    if (got.body.empty()) return success();
    const auto document = parse_error_document(got.body);
    if (!document) return success();
    return std::unexpected(make_error(classify(500, document->code), document->code));
}

/// Adds x-amz-meta- headers. errc::bad_request unless names are lower case and values printable ASCII.
result<void> add_metadata(name_values& headers, const name_values& metadata) {
    for (const auto& [name, value] : metadata) {
        const bool good_name = !name.empty() && std::ranges::all_of(name, [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
        });
        const bool good_value = std::ranges::all_of(value, [](char c) { return c >= 0x20 && c < 0x7f; });
        if (!good_name || !good_value) return fail(errc::bad_request, "metadata that cannot be a header");
        headers.emplace_back("x-amz-meta-" + name, value);
    }
    return success();
}

std::string content_md5(const md5_digest& digest) {
    return encode_base64(std::as_bytes(std::span(digest.bytes)));
}

/// The payload hash for data: that of an empty body, or UNSIGNED-PAYLOAD (s3/sigv4.hpp).
std::string data_payload_hash(const upload_body& body) {
    return std::string(body.size() == 0 ? empty_payload_hash : unsigned_payload);
}

/// Runs a call whose response has no result.
awaitable<result<void>> run_plain(std::shared_ptr<client_core> core, call c, deadline until) {
    retry_session session(core->retries(), until);
    const response_check check = refuse_error_body;
    KS_CO_CHECK(co_await core->run(std::move(c), check, session, until));
    co_return success();
}

/// Runs a call whose response is a document. `parse` is a function of s3/xml.hpp.
template <class T>
awaitable<result<T>> run_parsed(std::shared_ptr<client_core> core, call c, result<T> (*parse)(std::string_view),
                                deadline until) {
    retry_session session(core->retries(), until);
    std::optional<T> parsed;
    const response_check check = [&](const full_response& got) -> result<void> {
        KS_TRY(auto value, parse(got.body));
        parsed.emplace(std::move(value));
        return success();
    };
    KS_CO_CHECK(co_await core->run(std::move(c), check, session, until));
    co_return std::move(*parsed);
}

/// Runs a PUT of data, of an object or a part. \returns ETag and date.
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

// HEAD /key
awaitable<result<object_info>> head_object(std::shared_ptr<client_core> core, std::string key, deadline until) {
    retry_session session(core->retries(), until);
    object_info info;
    const response_check check = [&](const full_response& got) -> result<void> {
        KS_TRY(info, read_object_info(got.response));
        // Ages depend on it.
        if (info.last_modified != sys_seconds{}) return success();
        return std::unexpected(make_error(error_kind::malformed_response, "no Last-Modified in the response"));
    };
    call c{.op = operation::head, .method = "HEAD", .key = std::move(key)};
    auto got = co_await core->run(c, check, session, until);
    if (got) co_return info;
    auto kind = kind_of(got.error());
    if (kind == error_kind::invalid || kind == error_kind::access_denied) {
        auto why = co_await core->explain_refusal(until);
        if (why) co_return std::unexpected(std::move(*why));
        got = co_await core->run(std::move(c), check, session, until);
        if (got) co_return info;
        kind = kind_of(got.error());
    }
    if (kind != error_kind::not_found) co_return std::unexpected(std::move(got.error()));
    co_return std::unexpected(co_await core->explain_missing(std::move(got.error()), until));
}

// PUT /key
// content-type: application/octet-stream
// content-md5: base64
// x-amz-meta-...
// x-amz-content-sha256: UNSIGNED-PAYLOAD
awaitable<result<put_result>> put_object(std::shared_ptr<client_core> core, std::string key, upload_body body,
                                         put_options options, deadline until) {
    call c{.op = operation::put, .method = "PUT", .key = std::move(key), .body = std::move(body)};
    c.headers.emplace_back("content-type", options.content_type);
    if (options.md5) c.headers.emplace_back("content-md5", content_md5(*options.md5));
    if (options.if_absent) c.headers.emplace_back("if-none-match", "*");
    KS_CO_CHECK(add_metadata(c.headers, options.metadata));
    co_return co_await run_upload(core, std::move(c), until);
}

// PUT /to
// x-amz-copy-source: /bucket/from
// x-amz-metadata-directive: REPLACE
awaitable<result<copy_result>> copy_object(std::shared_ptr<client_core> core, std::string from, std::string to,
                                           copy_options options, deadline until) {
    call c{.op = operation::copy, .method = "PUT", .key = std::move(to)};
    const auto source = "/" + core->options().bucket + "/" + from;
    c.headers.emplace_back("x-amz-copy-source", uri_encode(source, encode_slash::no));
    if (!options.if_match.empty() && !is_weak(options.if_match)) {
        c.headers.emplace_back("x-amz-copy-source-if-match", fmt::format("\"{}\"", options.if_match));
    }
    if (options.replace_metadata) {
        c.headers.emplace_back("x-amz-metadata-directive", "REPLACE");
        c.headers.emplace_back("content-type", "application/octet-stream");
        KS_CO_CHECK(add_metadata(c.headers, *options.replace_metadata));
    }
    co_return co_await run_parsed<copy_result>(core, std::move(c), parse_copy_result, until);
}

awaitable<result<void>> delete_object(std::shared_ptr<client_core> core, std::string key, deadline until) {
    auto done = co_await run_plain(core, call{.op = operation::del, .method = "DELETE", .key = std::move(key)}, until);
    if (done || kind_of(done.error()) != error_kind::not_found) co_return done;
    // Some services return 404: success, if the bucket exists.
    auto why = co_await core->explain_missing(std::move(done.error()), until);
    if (kind_of(why) == error_kind::not_found) co_return success();
    co_return std::unexpected(std::move(why));
}

/// The error for a service that ignores the continuation token: it returns the same page for ever.
error listing_does_not_advance(operation op) {
    return {errc::io_error,
            fmt::format("S3 {}: a page of the listing does not begin after the previous one: this service ignores "
                        "continuation tokens, and its listings cannot be used.",
                        to_string(op)),
            make_error_code(error_kind::unsupported)};
}

// GET /?list-type=2&prefix=...&continuation-token=...
// GET /?prefix=...&marker=...
awaitable<result<list_page>> list_objects(std::shared_ptr<client_core> core, list_options options, deadline until) {
    // A listing that began with V2 continues with V2, even if another call has learned meanwhile that V1 is to be used.
    const bool v1 = options.token.empty() ? core->lists_v1() : options.token_is_marker || core->options().list_v1;
    const auto token = options.token;
    call c{.op = operation::list, .method = "GET", .key = {}};
    if (!v1) c.query.emplace_back("list-type", "2");
    c.query.emplace_back("prefix", std::move(options.prefix));
    c.query.emplace_back("max-keys", fmt::format("{}", options.keys_max));
    // Keys may contain characters that XML 1.0 cannot.
    c.query.emplace_back("encoding-type", "url");
    if (!options.delimiter.empty()) c.query.emplace_back("delimiter", std::move(options.delimiter));
    if (v1) {
        auto& marker = options.token.empty() ? options.start_after : options.token;
        if (!marker.empty()) c.query.emplace_back("marker", std::move(marker));
    } else if (!options.token.empty()) {
        c.query.emplace_back("continuation-token", std::move(options.token));
    } else if (!options.start_after.empty()) {
        c.query.emplace_back("start-after", std::move(options.start_after));
    }
    auto page = co_await run_parsed<list_page>(core, std::move(c), parse_list_page, until);
    if (!page) co_return page;
    const auto first = page->first_key();
    const bool repeats = !options.last_key.empty() && !first.empty() && first <= options.last_key;
    if (repeats || (page->truncated && page->next == token))
        co_return std::unexpected(listing_does_not_advance(operation::list));
    if (page->truncated && page->next_is_marker && !v1) core->learn_list_v1();
    co_return page;
}

// POST /key?uploads
awaitable<result<std::string>> create_upload(std::shared_ptr<client_core> core, std::string key, put_options options,
                                             deadline until) {
    call c{.op = operation::create_multipart, .method = "POST", .key = std::move(key), .query = {{"uploads", ""}}};
    c.headers.emplace_back("content-type", options.content_type);
    KS_CO_CHECK(add_metadata(c.headers, options.metadata));
    co_return co_await run_parsed<std::string>(core, std::move(c), parse_initiate_multipart, until);
}

// PUT /key?partNumber=1&uploadId=...
awaitable<result<put_result>> put_part(std::shared_ptr<client_core> core, std::string key, std::string upload_id,
                                       unsigned number, upload_body body, std::optional<md5_digest> md5,
                                       deadline until) {
    call c{.op = operation::put,
           .method = "PUT",
           .key = std::move(key),
           .query = {{"partNumber", fmt::format("{}", number)}, {"uploadId", std::move(upload_id)}},
           .body = std::move(body)};
    if (md5) c.headers.emplace_back("content-md5", content_md5(*md5));
    co_return co_await run_upload(core, std::move(c), until);
}

// POST /key?uploadId=...
// <CompleteMultipartUpload>...
awaitable<result<std::string>> complete_upload(std::shared_ptr<client_core> core, std::string key,
                                               std::string upload_id, std::vector<std::string> etags, deadline until) {
    const auto body = format_complete_multipart(etags);
    call c{.op = operation::complete_multipart,
           .method = "POST",
           .key = key,
           .query = {{"uploadId", std::move(upload_id)}},
           .headers = {{"content-type", "application/xml"}}};
    c.payload_hash = to_hex(sha256(body));
    c.body.slices.push_back(copy_to_heap_slice(std::as_bytes(std::span(body))));
    auto done = co_await run_parsed<std::string>(core, std::move(c), parse_complete_multipart, until);
    if (done || kind_of(done.error()) != error_kind::no_such_upload) co_return done;

    const auto expected = multipart_etag(etags);
    if (!expected) co_return done;
    const auto there = co_await head_object(core, std::move(key), until);
    if (there && there->etag == *expected) co_return there->etag;
    co_return done;
}

// DELETE /key?uploadId=...
awaitable<result<void>> abort_upload(std::shared_ptr<client_core> core, std::string key, std::string upload_id,
                                     deadline until) {
    call c{.op = operation::abort_multipart,
           .method = "DELETE",
           .key = std::move(key),
           .query = {{"uploadId", std::move(upload_id)}}};
    auto done = co_await run_plain(core, std::move(c), until);
    if (!done && kind_of(done.error()) == error_kind::no_such_upload) co_return success();
    co_return done;
}

// GET /?uploads&prefix=...
awaitable<result<upload_page>> list_uploads_page(std::shared_ptr<client_core> core, std::string prefix,
                                                 std::string after_key, std::string after_upload_id, deadline until) {
    call c{.op = operation::list_uploads,
           .method = "GET",
           .key = {},
           .query = {{"uploads", ""}, {"encoding-type", "url"}}};
    if (!prefix.empty()) c.query.emplace_back("prefix", std::move(prefix));
    if (!after_key.empty()) {
        c.query.emplace_back("key-marker", after_key);
        if (!after_upload_id.empty()) c.query.emplace_back("upload-id-marker", after_upload_id);
    }
    auto page = co_await run_parsed<upload_page>(core, std::move(c), parse_upload_page, until);
    if (!page || after_key.empty()) co_return page;
    // Uploads of one key are in no known order.
    const bool repeats = !page->uploads.empty() && page->uploads.front().key < after_key;
    const bool stands = page->truncated && (page->next_key < after_key ||
                                            (page->next_key == after_key && page->next_upload_id == after_upload_id));
    if (repeats || stands) co_return std::unexpected(listing_does_not_advance(operation::list_uploads));
    co_return page;
}

// HEAD /
awaitable<result<bucket_info>> find_bucket(std::shared_ptr<client_core> core, deadline until) {
    retry_session session(core->retries(), until);
    const response_check check = accept_any;
    call c{.op = operation::head_bucket, .method = "HEAD", .key = {}};
    auto got = co_await core->run(std::move(c), check, session, until);
    if (got) co_return bucket_info{std::string(got->response.get("x-amz-bucket-region"))};
    if (kind_of(got.error()) == error_kind::not_found) {
        co_return std::unexpected(make_error(error_kind::no_such_bucket, "S3 head_bucket: 404"));
    }
    co_return std::unexpected(std::move(got.error()));
}

}  // namespace

std::optional<std::string_view> object_info::find_metadata(std::string_view name) const {
    const auto found =
        std::ranges::find(metadata, name, [](const auto& entry) { return std::string_view(entry.first); });
    if (found == metadata.end()) return std::nullopt;
    return found->second;
}

void list_options::continue_after(const list_page& page) {
    token = page.next;
    token_is_marker = page.next_is_marker;
    if (const auto last = page.last_key(); last > last_key) last_key = last;
}

std::optional<std::string> multipart_etag(const std::vector<std::string>& part_etags) {
    std::vector<std::uint8_t> digests;
    for (const auto& etag : part_etags) {
        const auto digest = md5_digest::parse(strip_quotes(etag));
        if (!digest) return std::nullopt;
        digests.insert(digests.end(), digest->bytes.begin(), digest->bytes.end());
    }
    std::array<std::uint8_t, 16> whole{};
    if (EVP_Digest(digests.data(), digests.size(), whole.data(), nullptr, EVP_md5(), nullptr) != 1) return std::nullopt;
    return fmt::format("{}-{}", to_hex(whole), part_etags.size());
}

etag_verdict judge_etag(const put_result& stored, const md5_digest& sent) {
    const auto etag = md5_digest::parse(lower_case(stored.etag));
    if (etag == sent) return etag_verdict::confirms;
    return etag && !stored.etag_is_opaque ? etag_verdict::contradicts : etag_verdict::nothing;
}

std::optional<md5_digest> object_info::etag_as_md5() const {
    return md5_digest::parse(etag);
}

std::uint64_t upload_body::size() const {
    if (source) return source->size();
    std::uint64_t sum = 0;
    for (const auto& slice : slices) sum += slice.size();
    return sum;
}

client::client(std::shared_ptr<client_core> core) noexcept : core_(std::move(core)) {}
client::client(client&&) noexcept = default;
client& client::operator=(client&&) noexcept = default;
client::~client() = default;

result<client> client::make(client_options options, std::shared_ptr<credentials_cache> keys) {
    if (options.region.empty()) {
        if (options.endpoint.empty()) return fail(errc::bad_request, "one of Endpoint and Region must be given");
        options.region = "us-east-1";
    }
    KS_TRY(auto address, make_bucket_address({.endpoint = options.endpoint,
                                              .region = options.region,
                                              .bucket = options.bucket,
                                              .path_style = options.path_style}));
    KS_TRY(auto http, net::client::make({.connections_max = options.connections_max,
                                         .ca_file = options.ca_file,
                                         .tls_insecure = options.tls_insecure,
                                         .proxies = options.proxies,
                                         .hosts = options.hosts}));
    return client(
        std::make_shared<client_core>(std::move(options), std::move(address), std::move(http), std::move(keys)));
}

// The members are no coroutines: the functions that they start share the core, so the client may be destroyed before
// they run.

awaitable<result<object_download>> client::open(std::shared_ptr<client_core> core, std::string key, get_options options,
                                                deadline until) {
    if (options.range && options.range->length && *options.range->length == 0) {
        co_return fail(errc::bad_request, "an empty range");
    }
    auto state = std::make_unique<object_download::state>(std::move(core), std::move(key), until);
    KS_CO_CHECK(co_await state->open(options.range, std::move(options.if_match)));
    // Nothing to read: gives the connection back.
    if (state->length == 0) state->response.reset();
    co_return object_download(std::move(state));
}

awaitable<result<object_download>> client::get(std::string key, get_options options, deadline until) const {
    return open(core_, std::move(key), std::move(options), until);
}

awaitable<result<object_info>> client::head(std::string key, deadline until) const {
    return head_object(core_, std::move(key), until);
}

awaitable<result<put_result>> client::put(std::string key, upload_body body, put_options options,
                                          deadline until) const {
    return put_object(core_, std::move(key), std::move(body), std::move(options), until);
}

awaitable<result<copy_result>> client::copy(std::string from, std::string to, copy_options options,
                                            deadline until) const {
    return copy_object(core_, std::move(from), std::move(to), std::move(options), until);
}

awaitable<result<void>> client::del(std::string key, deadline until) const {
    return delete_object(core_, std::move(key), until);
}

awaitable<result<list_page>> client::list(list_options options, deadline until) const {
    return list_objects(core_, std::move(options), until);
}

awaitable<result<std::string>> client::create_multipart(std::string key, put_options options, deadline until) const {
    return create_upload(core_, std::move(key), std::move(options), until);
}

awaitable<result<put_result>> client::upload_part(std::string key, std::string upload_id, unsigned number,
                                                  upload_body body, std::optional<md5_digest> md5,
                                                  deadline until) const {
    return put_part(core_, std::move(key), std::move(upload_id), number, std::move(body), md5, until);
}

awaitable<result<std::string>> client::complete_multipart(std::string key, std::string upload_id,
                                                          std::vector<std::string> etags, deadline until) const {
    return complete_upload(core_, std::move(key), std::move(upload_id), std::move(etags), until);
}

awaitable<result<void>> client::abort_multipart(std::string key, std::string upload_id, deadline until) const {
    return abort_upload(core_, std::move(key), std::move(upload_id), until);
}

awaitable<result<upload_page>> client::list_uploads(std::string prefix, std::string after_key,
                                                    std::string after_upload_id, deadline until) const {
    return list_uploads_page(core_, std::move(prefix), std::move(after_key), std::move(after_upload_id), until);
}

awaitable<result<bucket_info>> client::head_bucket(deadline until) const {
    return find_bucket(core_, until);
}

const op_stats& client::stats() const noexcept {
    return core_->stats();
}

void client::close() noexcept {
    core_->http().close();
}
net::endpoint client::endpoint() const {
    return core_->address().to;
}
std::string client::region() const {
    return core_->region();
}
std::chrono::seconds client::clock_skew() const {
    return std::chrono::duration_cast<std::chrono::seconds>(core_->skew());
}

}  // namespace keepstore::s3
