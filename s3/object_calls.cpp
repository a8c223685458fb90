// The operations of s3::client on objects.
#include "s3/client_calls.hpp"
#include "s3/limits.hpp"

#include <fmt/format.h>

namespace keepstore::s3 {

awaitable<result<object_download>> client::get(this client self, std::string key, get_options options, deadline until) {
    return cloud::begin_download(std::move(self.core_), std::move(key), std::move(options), until);
}

// HEAD /key
awaitable<result<object_info>> client::head(this client self, std::string key, deadline until) {
    retry_session session(self.core_->retries(), until);
    object_info info;
    const response_check check = [&](const full_response& got) -> result<void> {
        KS_TRY(info, cloud::read_object_info(s3_traits, got.response));
        // Ages depend on it.
        if (info.last_modified != sys_seconds{}) return success();
        return cloud::lacks(s3_traits, "Last-Modified");
    };
    call c{.op = operation::head, .method = "HEAD", .key = std::move(key)};
    auto got = co_await self.core_->run(c, check, session, until);
    if (got) co_return info;
    auto kind = kind_of(got.error());
    if (kind == error_kind::invalid || kind == error_kind::access_denied) {
        auto why = co_await self.core_->explain_refusal(until);
        if (why) co_return std::unexpected(std::move(*why));
        got = co_await self.core_->run(std::move(c), check, session, until);
        if (got) co_return info;
        kind = kind_of(got.error());
    }
    if (kind != error_kind::not_found) co_return std::unexpected(std::move(got.error()));
    co_return std::unexpected(co_await self.core_->explain_missing(std::move(got.error()), until));
}

// PUT /key
// content-type: application/octet-stream
// content-md5: base64
// if-none-match: *
// if-match: "etag"
// x-amz-meta-...
// x-amz-content-sha256: UNSIGNED-PAYLOAD
awaitable<result<put_result>> client::put(this client self, std::string key, upload_body body, put_options options,
                                          deadline until) {
    call c{.op = operation::put, .method = "PUT", .key = std::move(key), .body = std::move(body)};
    c.headers.emplace_back("content-type", options.content_type);
    add_content_md5(c.headers, options.md5);
    if (options.if_absent) c.headers.emplace_back("if-none-match", "*");
    const bool replaces = !options.if_match.empty();
    if (replaces) {
        const bool bare = options.if_match_form == put_options::etag_form::bare;
        c.headers.emplace_back("if-match", bare ? options.if_match : fmt::format("\"{}\"", options.if_match));
    }
    KS_CO_CHECK(add_metadata(c.headers, options.metadata));
    auto stored = co_await run_upload(self.core_, std::move(c), until);
    if (stored || !replaces || kind_of(stored.error()) != error_kind::not_found) co_return stored;
    // The object that was to be replaced is gone, or the bucket is.
    co_return std::unexpected(co_await self.core_->explain_missing(std::move(stored.error()), until));
}

// PUT /to
// x-amz-copy-source: /bucket/from
// x-amz-metadata-directive: REPLACE
awaitable<result<copy_result>> client::copy(this client self, std::string from, std::string to, copy_options options,
                                            deadline until) {
    call c{.op = operation::copy, .method = "PUT", .key = std::move(to)};
    const auto& bucket = options.from_bucket.empty() ? self.core_->options().bucket : options.from_bucket;
    const auto source = "/" + bucket + "/" + from;
    c.headers.emplace_back("x-amz-copy-source", uri_encode(source, encode_slash::no));
    if (!options.if_match.empty() && !cloud::is_weak(options.if_match)) {
        c.headers.emplace_back("x-amz-copy-source-if-match", fmt::format("\"{}\"", options.if_match));
    }
    if (options.replace_metadata) {
        c.headers.emplace_back("x-amz-metadata-directive", "REPLACE");
        c.headers.emplace_back("content-type", "application/octet-stream");
        KS_CO_CHECK(add_metadata(c.headers, *options.replace_metadata));
    }
    co_return co_await run_parsed<copy_result>(self.core_, std::move(c), parse_copy_result, until);
}

awaitable<result<void>> client::del(this client self, std::string key, deadline until) {
    auto done =
        co_await run_plain(self.core_, call{.op = operation::del, .method = "DELETE", .key = std::move(key)}, until);
    if (done || kind_of(done.error()) != error_kind::not_found) co_return done;
    // Some services return 404: success, if the bucket exists.
    auto why = co_await self.core_->explain_missing(std::move(done.error()), until);
    if (kind_of(why) == error_kind::not_found) co_return success();
    co_return std::unexpected(std::move(why));
}

// GET /?list-type=2&prefix=...&continuation-token=...
// GET /?prefix=...&marker=...
awaitable<result<list_page>> client::list(this client self, list_options options, deadline until) {
    // A listing that began with V2 continues with V2, even if another call has learned meanwhile that V1 is to be used.
    const bool v1 =
        options.token.empty() ? self.core_->lists_v1() : options.token_is_marker || self.core_->options().list_v1;
    call c{.op = operation::list, .method = "GET"};
    if (!v1) c.query.emplace_back("list-type", "2");
    c.query.emplace_back("prefix", options.prefix);
    c.query.emplace_back("max-keys",
                         fmt::format("{}", options.keys_max > 0 ? options.keys_max : limits::s3_list_keys_max));
    // Keys may contain characters that XML 1.0 cannot.
    c.query.emplace_back("encoding-type", "url");
    if (v1) {
        const auto& marker = options.token.empty() ? options.start_after : options.token;
        if (!marker.empty()) c.query.emplace_back("marker", marker);
    } else if (!options.token.empty()) {
        c.query.emplace_back("continuation-token", options.token);
    } else if (!options.start_after.empty()) {
        c.query.emplace_back("start-after", options.start_after);
    }
    auto page = co_await run_parsed<list_page>(self.core_, std::move(c), parse_list_page, until);
    if (!page) co_return page;
    if (options.is_repeated_by(*page)) co_return std::unexpected(repeated_page(operation::list));
    if (page->truncated && page->next_is_marker && !v1) self.core_->learn_list_v1();
    co_return page;
}

}  // namespace keepstore::s3
