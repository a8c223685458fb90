#include "volumes/s3/s3_core.hpp"

#include "base/log.hpp"
#include "digest/md5.hpp"
#include "volumes/cloud/limits.hpp"
#include "volumes/limits.hpp"
#include "volumes/trash_rule.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace keepstore::volumes::s3 {
namespace {

// Buffer of a comparison, on the frame: it needs no memory of the volume.
constexpr std::size_t compare_bytes = 16 * KiB;

block_time our_now() {
    return std::chrono::time_point_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now());
}

}  // namespace

s3_core::s3_core(s3_options o, protocol::client c)
    : options(std::move(o)),
      names(options.prefix_length),
      client(std::move(c)),
      breaker(std::make_shared<circuit_breaker>(options.bucket, options.diagnosis)),
      memory(std::make_shared<chunk_memory>(options.fetch_memory_bytes)),
      upload_policy(limits::s3_parallel_uploads_max, "large blocks are sent in parts: that is faster", options.bucket),
      download_policy(limits::s3_parallel_downloads_max, "large blocks are fetched in parts: that is faster",
                      options.bucket),
      loops(options.loops) {}

block_time s3_core::now() const {
    return options.now ? options.now() : our_now() + client.clock_skew();
}

block_time s3_core::now_at_most() const {
    return options.now ? options.now() : std::min(now(), our_now());
}

block_time s3_core::now_at_least() const {
    return options.now ? options.now() : std::max(now(), our_now());
}

awaitable<result<protocol::object_info>> s3_core::head(std::string key, deadline until) {
    const circuit_breaker::pending_call pending(*breaker);
    auto info = noted(co_await client.head(key, until.within(limits::s3_call_timeout)));
    if (info) info->last_modified = observed(key, info->last_modified);
    co_return info;
}

awaitable<result<protocol::put_result>> s3_core::put(std::string key, protocol::upload_body body,
                                                     protocol::put_options how, deadline until) {
    const circuit_breaker::pending_call pending(*breaker);
    co_return noted(co_await client.put(std::move(key), std::move(body), std::move(how), until));
}

awaitable<result<void>> s3_core::del(std::string key, deadline until) {
    const circuit_breaker::pending_call pending(*breaker);
    co_return noted(co_await client.del(std::move(key), until.within(limits::s3_call_timeout)));
}

awaitable<result<void>> s3_core::mark_recent(md5_digest name, protocol::name_values metadata, deadline until) {
    protocol::put_options how;
    how.metadata = std::move(metadata);
    KS_CO_CHECK(co_await put(names.recent(name), {}, std::move(how), until.within(limits::s3_call_timeout)));
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
    const circuit_breaker::pending_call pending(*breaker);
    KS_CO_TRY(auto body, noted(co_await client.get(names.block(name), {}, until)));
    digest::md5 digest;
    std::array<std::byte, compare_bytes> buffer;
    while (true) {
        KS_CO_TRY(const auto count, noted(co_await body.read_some(buffer)));
        if (count == 0) break;
        breaker->note_progress();
        digest.update(std::span<const std::byte>(buffer).first(count));
    }
    co_return digest.finish() == name;
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
        if (there == stored_copy::equal) co_return success();
        if (there == stored_copy::other) {
            log::error("hash collision: a different block with the same MD5 is stored",
                       {{"block", name.hex()}, {"bucket", options.bucket}});
            co_return fail(errc::collision);
        }
        if (there == stored_copy::corrupt) {
            log::warning("a stored block is corrupt: its data does not match its MD5; replacing it",
                         {{"block", name.hex()}, {"bucket", options.bucket}});
            break;
        }
    }
    co_return co_await put_block(name, {.slices = std::move(slices)}, false, until);
}

awaitable<result<s3_core::stored_copy>> s3_core::compare(md5_digest name, std::span<const const_slice> with,
                                                         deadline until) {
    const circuit_breaker::pending_call pending(*breaker);
    auto body = noted(co_await client.get(names.block(name), {}, until));
    if (!body && body.error() == errc::not_found) co_return stored_copy::gone;
    if (!body) co_return std::unexpected(std::move(body.error()));
    std::size_t size = 0;
    for (const auto& slice : with) size += slice.size();
    bool equal = body->length() == size;
    digest::md5 digest;
    std::array<std::byte, compare_bytes> buffer;
    std::size_t in_slice = 0;
    while (true) {
        const auto count = co_await body->read_some(buffer);
        if (!count) co_return std::unexpected(noted(count).error());
        if (*count == 0) break;
        breaker->note_progress();
        auto got = std::span<const std::byte>(buffer).first(*count);
        digest.update(got);
        while (equal && !got.empty()) {
            const auto mine = with.front().bytes.subspan(in_slice);
            const auto both = std::min(mine.size(), got.size());
            equal = std::memcmp(mine.data(), got.data(), both) == 0;
            got = got.subspan(both);
            in_slice += both;
            if (in_slice == with.front().size()) {
                with = with.subspan(1);
                in_slice = 0;
            }
        }
    }
    if (equal) co_return stored_copy::equal;
    co_return digest.finish() == name ? stored_copy::other : stored_copy::corrupt;
}

awaitable<result<void>> s3_core::learn_conditional_put(md5_digest name, protocol::name_values metadata,
                                                       deadline until) {
    protocol::put_options how;
    how.metadata = std::move(metadata);
    how.if_absent = true;
    auto again = co_await put(names.recent(name), {}, std::move(how), until.within(limits::s3_call_timeout));
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
    const circuit_breaker::pending_call pending(*breaker);
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
