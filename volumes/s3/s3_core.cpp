#include "volumes/s3/s3_core.hpp"

#include "base/log.hpp"
#include "volumes/limits.hpp"
#include "volumes/s3/limits.hpp"
#include "volumes/trash_rule.hpp"

#include <algorithm>

namespace keepstore::volumes::s3 {

s3_core::s3_core(s3_options o, protocol::client c)
    : volume_core({o, {.service = "S3", .kind = "bucket", .name = o.bucket, .list_permission = "s3:ListBucket"}, '-'}),
      options(std::move(o)),
      names(options.prefix_length),
      client(std::move(c)) {}

awaitable<result<protocol::object_info>> s3_core::head(std::string key, deadline until) {
    const cloud::circuit_breaker::pending_call pending(*breaker);
    auto info = noted(co_await client.head(key, until.within(limits::cloud_call_timeout)));
    if (info) info->last_modified = observed(key, info->last_modified);
    co_return info;
}

awaitable<result<protocol::put_result>> s3_core::put(std::string key, protocol::upload_body body,
                                                     protocol::put_options how, deadline until) {
    const cloud::circuit_breaker::pending_call pending(*breaker);
    co_return noted(co_await client.put(std::move(key), std::move(body), std::move(how), until));
}

awaitable<result<void>> s3_core::del(std::string key, deadline until) {
    const cloud::circuit_breaker::pending_call pending(*breaker);
    co_return noted(co_await client.del(std::move(key), until.within(limits::cloud_call_timeout)));
}

awaitable<result<protocol::list_page>> s3_core::list(protocol::list_options where, deadline until) {
    const cloud::circuit_breaker::pending_call pending(*breaker);
    co_return noted(co_await client.list(std::move(where), until));
}

awaitable<result<void>> s3_core::mark_recent(md5_digest name, protocol::name_values metadata, deadline until) {
    protocol::put_options how;
    how.metadata = std::move(metadata);
    KS_CO_CHECK(co_await put(names.recent(name), {}, std::move(how), until.within(limits::cloud_call_timeout)));
    co_return success();
}

awaitable<result<void>> s3_core::renew_recent(md5_digest name, std::uint64_t size, deadline until) {
    protocol::name_values kept;
    if (size > limits::write_at_once_bytes_max) {
        // Attributes only speed up reads: an error here is no reason not to touch.
        auto recent = co_await head(names.recent(name), until);
        if (recent)
            kept = std::move(recent->metadata);
        else if (recent.error() == errc::cancelled)
            co_return std::unexpected(std::move(recent.error()));
    }
    co_return co_await mark_recent(name, std::move(kept), until);
}

awaitable<result<void>> s3_core::put_block(md5_digest name, protocol::upload_body body, bool if_absent,
                                           deadline until) {
    protocol::put_options how;
    how.if_absent = if_absent;
    if (!options.any_content) how.md5 = name;
    KS_CO_TRY(const auto stored, co_await put(names.block(name), std::move(body), std::move(how), until));
    const bool contradicts = protocol::judge_etag(stored, name) == protocol::etag_evidence::contradicts;
    if (options.any_content || !contradicts) co_return success();
    co_return co_await settle_etag(name, put_etags, until);
}

awaitable<result<bool>> s3_core::stores_block(md5_digest name, deadline until) {
    return is_block(names.block(name), {}, name, until);
}

awaitable<result<bool>> s3_core::is_block(std::string key, protocol::object_info info, md5_digest name,
                                          deadline until) {
    if (info.etag_as_md5() == name) co_return true;
    const cloud::circuit_breaker::pending_call pending(*breaker);
    auto body = noted(co_await client.get(std::move(key), {}, until));
    if (!body && body.error() == errc::not_found) co_return false;
    if (!body) co_return std::unexpected(std::move(body.error()));
    co_return co_await cloud::check_body(*this, std::move(*body), name);
}

awaitable<result<void>> s3_core::settle_etag(md5_digest name, etag_knowledge& known, deadline until) {
    if (known) co_return success();
    KS_CO_TRY(const bool stored, co_await stores_block(name, until));
    if (!stored) co_return fail(errc::io_error, "S3 confirmed other content than it was sent");
    if (!known.exchange(true)) {
        log::info("the ETags of this S3 service are not Amazon's; Content-MD5 alone protects uploads",
                  {{"bucket", options.bucket}});
    }
    co_return success();
}

awaitable<result<void>> s3_core::put_block_or_compare(md5_digest name, std::vector<const_slice> slices,
                                                      deadline until) {
    // The object may appear and vanish meanwhile, as in any race of Put and Trash.
    for (int attempt = 0; attempt < 2; ++attempt) {
        auto stored = co_await put_block(name, {.slices = slices}, true, until);
        if (stored || kind_of(stored.error()) != error_kind::precondition) co_return stored;
        KS_CO_TRY(const auto there, co_await compare(name, slices, until));
        if (there == cloud::stored_copy::equal) co_return success();
        if (there == cloud::stored_copy::other) {
            log::error("hash collision: a different block with the same MD5 is stored",
                       {{"block", name.hex()}, {"bucket", options.bucket}});
            co_return fail(errc::collision);
        }
        if (there == cloud::stored_copy::corrupt) {
            log::warning("a stored block is corrupt: its data does not match its MD5; replacing it",
                         {{"block", name.hex()}, {"bucket", options.bucket}});
            break;
        }
    }
    co_return co_await put_block(name, {.slices = std::move(slices)}, false, until);
}

awaitable<result<std::optional<cloud::stored_copy>>> s3_core::compare(md5_digest name,
                                                                      std::span<const const_slice> with,
                                                                      deadline until) {
    const cloud::circuit_breaker::pending_call pending(*breaker);
    auto body = noted(co_await client.get(names.block(name), {}, until));
    if (!body && body.error() == errc::not_found) co_return std::nullopt;
    if (!body) co_return std::unexpected(std::move(body.error()));
    KS_CO_TRY(const auto found, co_await cloud::compare_body(*this, std::move(*body), name, with));
    co_return found;
}

awaitable<result<void>> s3_core::learn_conditional_put(md5_digest name, protocol::name_values metadata,
                                                       deadline until) {
    protocol::put_options how;
    how.metadata = std::move(metadata);
    how.if_absent = true;
    auto again = co_await put(names.recent(name), {}, std::move(how), until.within(limits::cloud_call_timeout));
    if (again || kind_of(again.error()) == error_kind::unsupported || kind_of(again.error()) == error_kind::invalid) {
        conditional = conditional_put::ignored;
    } else if (kind_of(again.error()) == error_kind::precondition) {
        conditional = conditional_put::honoured;
    } else if (again.error() == errc::cancelled) {
        co_return std::unexpected(std::move(again.error()));
    }
    co_return success();
}

awaitable<result<void>> s3_core::safe_copy(std::string from, std::string to, std::string if_match, deadline until) {
    const cloud::circuit_breaker::pending_call pending(*breaker);
    protocol::copy_options how;
    how.if_match = std::move(if_match);
    KS_CO_TRY(const auto copied, noted(co_await client.copy(std::move(from), std::move(to), std::move(how), until)));
    if (!copied.last_modified) co_return fail(errc::io_error, "S3 copied an object without confirming its time");
    const auto skew = now() - block_time(*copied.last_modified);
    if (skew > limits::s3_copy_skew_max || skew < -limits::s3_copy_skew_max) {
        co_return fail(errc::io_error, "S3 copied an object with an old time");
    }
    co_return success();
}

awaitable<result<bool>> s3_core::fix_race(md5_digest name, deadline until) {
    const auto recent = co_await head(names.recent(name), until);
    if (!recent && recent.error() == errc::not_found) co_return false;
    if (!recent) co_return std::unexpected(recent.error());
    const auto trash = co_await head(names.trash(name), until);
    if (!trash && trash.error() == errc::not_found) co_return false;
    if (!trash) co_return std::unexpected(trash.error());
    if (!trash_rule::trashed_by_mistake(recent->last_modified, trash->last_modified, options.protect_for))
        co_return false;
    log::info("a block was trashed while it was being written or touched; restoring it",
              {{"block", name.hex()}, {"bucket", options.bucket}});
    auto back = co_await safe_copy(names.trash(name), names.block(name), trash->validator(), until);
    if (!back && back.error() == errc::not_found) co_return false;
    if (!back) co_return std::unexpected(std::move(back.error()));
    co_return true;
}

}  // namespace keepstore::volumes::s3
