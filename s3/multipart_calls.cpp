// The operations of s3::client on multipart uploads.
#include "base/hex.hpp"
#include "s3/client_calls.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

namespace keepstore::s3 {

// POST /key?uploads
awaitable<result<std::string>> client::create_multipart(this client self, std::string key, put_options options,
                                                        deadline until) {
    call c{.op = operation::create_multipart, .method = "POST", .key = std::move(key), .query = {{"uploads", ""}}};
    c.headers.emplace_back("content-type", options.content_type);
    KS_CO_CHECK(add_metadata(c.headers, options.metadata));
    co_return co_await run_parsed<std::string>(self.core_, std::move(c), parse_initiate_multipart, until);
}

// PUT /key?partNumber=1&uploadId=...
awaitable<result<put_result>> client::upload_part(this client self, std::string key, std::string upload_id,
                                                  unsigned number, upload_body body, std::optional<md5_digest> md5,
                                                  deadline until) {
    call c{.op = operation::put,
           .method = "PUT",
           .key = std::move(key),
           .query = {{"partNumber", fmt::format("{}", number)}, {"uploadId", std::move(upload_id)}},
           .body = std::move(body)};
    add_content_md5(c.headers, md5);
    co_return co_await run_upload(self.core_, std::move(c), until);
}

// POST /key?uploadId=...
// <CompleteMultipartUpload>...
awaitable<result<std::string>> client::complete_multipart(this client self, std::string key, std::string upload_id,
                                                          std::vector<std::string> etags, deadline until) {
    const auto body = format_complete_multipart(etags);
    call c{.op = operation::complete_multipart,
           .method = "POST",
           .key = key,
           .query = {{"uploadId", std::move(upload_id)}},
           .headers = {{"content-type", "application/xml"}}};
    c.body.slices.push_back(copy_to_heap_slice(std::as_bytes(std::span(body))));
    auto done = co_await run_parsed<std::string>(self.core_, std::move(c), parse_complete_multipart, until);
    if (done || kind_of(done.error()) != error_kind::no_such_upload) co_return done;

    const auto expected = multipart_etag(etags);
    if (!expected) co_return done;
    const auto there = co_await self.head(std::move(key), until);
    if (there && there->etag == *expected) co_return there->etag;
    co_return done;
}

// DELETE /key?uploadId=...
awaitable<result<void>> client::abort_multipart(this client self, std::string key, std::string upload_id,
                                                deadline until) {
    call c{.op = operation::abort_multipart,
           .method = "DELETE",
           .key = std::move(key),
           .query = {{"uploadId", std::move(upload_id)}}};
    auto done = co_await run_plain(self.core_, std::move(c), until);
    if (!done && kind_of(done.error()) == error_kind::no_such_upload) co_return success();
    co_return done;
}

// GET /?uploads&prefix=...
awaitable<result<upload_page>> client::list_uploads(this client self, std::string prefix, std::string after_key,
                                                    std::string after_upload_id, deadline until) {
    call c{.op = operation::list_uploads, .method = "GET", .query = {{"uploads", ""}, {"encoding-type", "url"}}};
    if (!prefix.empty()) c.query.emplace_back("prefix", std::move(prefix));
    if (!after_key.empty()) {
        c.query.emplace_back("key-marker", after_key);
        if (!after_upload_id.empty()) c.query.emplace_back("upload-id-marker", after_upload_id);
    }
    auto page = co_await run_parsed<upload_page>(self.core_, std::move(c), parse_upload_page, until);
    if (!page || after_key.empty()) co_return page;
    // Uploads of one key are in no known order.
    const bool repeats = !page->uploads.empty() && page->uploads.front().key < after_key;
    const bool stands = page->truncated && (page->next_key < after_key ||
                                            (page->next_key == after_key && page->next_upload_id == after_upload_id));
    if (repeats || stands) co_return std::unexpected(repeated_page(operation::list_uploads));
    co_return page;
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

}  // namespace keepstore::s3
