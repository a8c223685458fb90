// The operations of azure::client.
#include "azure/client_calls.hpp"
#include "azure/limits.hpp"
#include "azure/xml.hpp"
#include "base/base64.hpp"

#include <fmt/format.h>

#include <span>

namespace keepstore::azure {
namespace {

/// Headers that Put Blob and Put Block List have in common.
result<name_values> describe_blob(const put_options& options) {
    name_values out;
    add_condition(out, options.only);
    KS_CHECK(add_metadata(out, options.metadata));
    return out;
}

std::string encode_block_id(std::string_view id) {
    return encode_base64(std::as_bytes(std::span(id)));
}

}  // namespace

// HEAD /container/blob
awaitable<result<object_info>> client::head(this client self, std::string key, deadline until) {
    object_info info;
    const response_check check = [&](const full_response& got) -> result<void> {
        KS_TRY(info, self.core_->read_info(got.response));
        if (info.size_is_certain) return success();
        return cloud::lacks(azure_traits, "Content-Length");
    };
    call c{.op = operation::get_properties, .method = "HEAD", .key = std::move(key)};
    KS_CO_CHECK(co_await self.core_->run(std::move(c), check, until));
    co_return info;
}

awaitable<result<object_download>> client::get(this client self, std::string key, get_options options, deadline until) {
    return cloud::begin_download(std::move(self.core_), std::move(key), std::move(options), until);
}

// PUT /container/blob
// x-ms-blob-type: BlockBlob
// content-type: application/octet-stream
// content-md5: base64
// if-none-match: * | if-match: "etag"
// x-ms-meta-...
awaitable<result<put_result>> client::put(this client self, std::string key, upload_body body, put_options options,
                                          deadline until) {
    if (body.size() > limits::azure_put_bytes_max) co_return fail(errc::too_large, "too large for one Put Blob");
    KS_CO_TRY(auto headers, describe_blob(options));
    headers.emplace_back("x-ms-blob-type", "BlockBlob");
    headers.emplace_back("content-type", options.content_type);
    if (options.md5) headers.emplace_back("content-md5", cloud::encode_content_md5(*options.md5));
    call c{.op = operation::create,
           .method = "PUT",
           .key = std::move(key),
           .headers = std::move(headers),
           .body = std::move(body),
           .is_data = true};
    co_return co_await run_change(self.core_, std::move(c), until);
}

// PUT /container/blob?comp=block&blockid=base64
awaitable<result<void>> client::put_block(this client self, std::string key, std::string block_id, upload_body body,
                                          std::optional<md5_digest> md5, deadline until) {
    call c{.op = operation::put_block,
           .method = "PUT",
           .key = std::move(key),
           .query = {{"comp", "block"}, {"blockid", encode_block_id(block_id)}},
           .body = std::move(body),
           .is_data = true};
    if (md5) c.headers.emplace_back("content-md5", cloud::encode_content_md5(*md5));
    co_return co_await run_plain(self.core_, std::move(c), until);
}

// PUT /container/blob?comp=blocklist
// x-ms-blob-content-md5: base64
// <BlockList>...
awaitable<result<put_result>> client::put_block_list(this client self, std::string key,
                                                     std::vector<std::string> block_ids, put_options options,
                                                     deadline until) {
    if (block_ids.size() > limits::azure_blocks_max) co_return fail(errc::too_large, "too many blocks for one blob");
    KS_CO_TRY(auto headers, describe_blob(options));
    headers.emplace_back("content-type", "application/xml");
    headers.emplace_back("x-ms-blob-content-type", options.content_type);
    if (options.md5) headers.emplace_back("x-ms-blob-content-md5", cloud::encode_content_md5(*options.md5));
    for (auto& id : block_ids) id = encode_block_id(id);
    const auto text = format_block_list(block_ids);
    call c{.op = operation::put_block_list,
           .method = "PUT",
           .key = std::move(key),
           .query = {{"comp", "blocklist"}},
           .headers = std::move(headers)};
    c.body.slices.push_back(copy_to_heap_slice(std::as_bytes(std::span(text))));
    co_return co_await run_change(self.core_, std::move(c), until);
}

// PUT /container/blob?comp=metadata
awaitable<result<put_result>> client::set_metadata(this client self, std::string key, name_values metadata,
                                                   condition only, deadline until) {
    call c{.op = operation::set_metadata, .method = "PUT", .key = std::move(key), .query = {{"comp", "metadata"}}};
    add_condition(c.headers, only);
    KS_CO_CHECK(add_metadata(c.headers, metadata));
    co_return co_await run_change(self.core_, std::move(c), until);
}

// PUT /container/blob
// x-ms-requires-sync: true
// x-ms-copy-source: https://account.blob.core.windows.net/container/blob[?sv=...&sig=...]
// x-ms-copy-source-authorization: Bearer ...
// x-ms-source-if-match: "etag"
// x-ms-source-content-md5: base64
awaitable<result<put_result>> client::copy(this client self, client from, std::string from_key, std::string to_key,
                                           copy_options options, deadline until) {
    KS_CO_TRY(auto source, co_await from.core_->make_copy_source(std::move(from_key), until));
    call c{.op = operation::copy,
           .method = "PUT",
           .key = std::move(to_key),
           .headers = {{"x-ms-requires-sync", "true"}, {"x-ms-copy-source", std::move(source.url)}}};
    if (!source.authorization.empty())
        c.headers.emplace_back("x-ms-copy-source-authorization", std::move(source.authorization));
    if (!options.if_match.empty())
        c.headers.emplace_back("x-ms-source-if-match", fmt::format("\"{}\"", options.if_match));
    if (options.md5) c.headers.emplace_back("x-ms-source-content-md5", cloud::encode_content_md5(*options.md5));
    co_return co_await run_change(self.core_, std::move(c), until, [](const net::response& response) -> result<void> {
        if (response.get("x-ms-copy-status") == "success") return success();
        return cloud::lacks(azure_traits, "finished copy");
    });
}

// DELETE /container/blob
// x-ms-delete-snapshots: include
awaitable<result<void>> client::del(this client self, std::string key, condition only, deadline until) {
    call c{.op = operation::del,
           .method = "DELETE",
           .key = std::move(key),
           .headers = {{"x-ms-delete-snapshots", "include"}}};
    add_condition(c.headers, only);
    auto done = co_await run_plain(self.core_, std::move(c), until);
    if (!done && only.empty() && kind_of(done.error()) == error_kind::not_found) co_return success();
    co_return done;
}

// GET /container?restype=container&comp=list&include=metadata&prefix=...&marker=...&maxresults=...
awaitable<result<list_page>> client::list(this client self, list_options options, deadline until) {
    call c{.op = operation::list,
           .method = "GET",
           .query = {{"restype", "container"},
                     {"comp", "list"},
                     {"include", "metadata"},
                     {"maxresults",
                      fmt::format("{}", options.keys_max > 0 ? options.keys_max : limits::azure_list_blobs_max)}}};
    if (!options.prefix.empty()) c.query.emplace_back("prefix", options.prefix);
    if (!options.token.empty()) c.query.emplace_back("marker", options.token);
    list_page page;
    const response_check check = [&](const full_response& got) -> result<void> {
        KS_TRY(page, parse_list_page(got.body));
        return success();
    };
    retry_session session(self.core_->list_retries(), until);
    KS_CO_CHECK(co_await self.core_->run(std::move(c), check, session, until));
    if (options.is_repeated_by(page))
        co_return std::unexpected(cloud::listing_does_not_advance(azure_traits, "list", "markers"));
    co_return page;
}

// HEAD /container?restype=container
awaitable<result<container_info>> client::head_container(this client self, deadline until) {
    container_info out;
    const response_check check = [&](const full_response& got) -> result<void> {
        const auto is_true = [&](std::string_view name) { return got.response.get(name) == "true"; };
        const auto modified = cloud::parse_http_date(got.response.get("last-modified"));
        out.etag = cloud::strip_quotes(got.response.get("etag"));
        if (out.etag.empty() || !modified) return cloud::lacks(azure_traits, "ETag and Last-Modified");
        out.last_modified = *modified;
        out.immutable = is_true("x-ms-has-immutability-policy") || is_true("x-ms-has-legal-hold");
        out.is_public = !got.response.get("x-ms-blob-public-access").empty();
        return success();
    };
    auto got = co_await self.core_->run(self.core_->head_place(), check, until);
    if (got) co_return out;
    if (kind_of(got.error()) != error_kind::not_found) co_return std::unexpected(std::move(got.error()));
    co_return std::unexpected(make_error(error_kind::no_such_bucket, "Azure get_container: 404"));
}

}  // namespace keepstore::azure
