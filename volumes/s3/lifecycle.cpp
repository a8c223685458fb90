#include "volumes/s3/s3_core.hpp"

#include "base/limits.hpp"
#include "base/log.hpp"
#include "volumes/trash_rule.hpp"

namespace keepstore::volumes::s3 {
namespace {

struct block_state {
    protocol::object_info block;
    sys_seconds mtime;
};

std::uint64_t size_at_most(const protocol::object_info& block) {
    return block.size_is_certain ? block.size : limits::block_size_bytes_max;
}

awaitable<result<block_state>> look(s3_core& core, md5_digest name, deadline until) {
    KS_CO_TRY(auto block, co_await core.head(core.names.block(name), until));
    auto recent = co_await core.head(core.names.recent(name), until);
    if (!recent && recent.error() == errc::not_found) {
        log::info("a block has no marker of its time of writing; writing one",
                  {{"block", name.hex()}, {"bucket", core.options.bucket}});
        KS_CO_CHECK(co_await core.mark_recent(name, {}, until));
        recent = co_await core.head(core.names.recent(name), until);
    }
    if (!recent) co_return std::unexpected(std::move(recent.error()));
    co_return block_state{std::move(block), recent->last_modified};
}

// Whether this block may be copied to the trash. An older trash copy would be overwritten, with a time that may not be
// visible everywhere for a race window; if that one may be deleted before, the new copy could be deleted with it.
awaitable<result<void>> check_race_window(s3_core& core, md5_digest name, std::chrono::nanoseconds lifetime,
                                          deadline until) {
    const auto trash = co_await core.head(core.names.trash(name), until);
    if (!trash && trash.error() == errc::not_found) co_return success();
    if (!trash) co_return std::unexpected(trash.error());
    if (!trash_rule::may_replace_copy(core.options.race_window, trash->last_modified, core.now_at_least(), lifetime)) {
        co_return fail(errc::unavailable, "the same block is in the trash already and due to be deleted");
    }
    co_return success();
}

// Whether block and marker are as look() found them. A client may just have replaced a corrupt copy, which the trash
// now has: the block that was acknowledged to it must not be deleted. Where both are equal the copy in the trash would
// do (fix_race), but costs more. The block is checked last, since it is written before its marker. It is lost if it is
// written between this check and the deletion: few services know a condition for DELETE.
awaitable<result<bool>> is_unchanged(s3_core& core, md5_digest name, const block_state& before, deadline until) {
    const auto recent = co_await core.head(core.names.recent(name), until);
    if (!recent && recent.error() != errc::not_found) co_return std::unexpected(recent.error());
    if (!recent || recent->last_modified != before.mtime) co_return false;
    const auto block = co_await core.head(core.names.block(name), until);
    // Deleted meanwhile: deleting it once more does no harm.
    if (!block && block.error() == errc::not_found) co_return true;
    if (!block) co_return std::unexpected(block.error());
    co_return block->etag == before.block.etag && block->last_modified == before.block.last_modified;
}

}  // namespace

awaitable<result<void>> s3_core::touch(md5_digest name, deadline until) {
    const auto core = shared_from_this();
    auto block = co_await core->head(core->names.block(name), until);
    if (!block) {
        if (block.error() != errc::not_found) co_return std::unexpected(std::move(block.error()));
        KS_CO_TRY(const bool fixed, co_await core->fix_race(name, until));
        if (!fixed) co_return std::unexpected(std::move(block.error()));
    }
    // After a race the size is not known; attributes are kept in any case.
    const auto size = block ? size_at_most(*block) : limits::block_size_bytes_max;
    KS_CO_CHECK(co_await core->renew_recent(name, size, until));
    co_return success();
}

awaitable<result<block_time>> s3_core::mtime(md5_digest name, deadline until) {
    const auto core = shared_from_this();
    KS_CO_TRY(const auto found, co_await look(*core, name, until));
    co_return block_time(found.mtime);
}

awaitable<result<trash_outcome>> s3_core::trash(md5_digest name, trash_options options, deadline until) {
    const auto core = shared_from_this();
    KS_CO_TRY(const auto found, co_await look(*core, name, until));
    const block_time mtime = found.mtime;
    if (!trash_rule::has_expected_mtime(options.only_if_mtime, mtime)) co_return trash_outcome::changed;
    if (!trash_rule::may_trash_truncated(mtime, core->now_at_most(), options.protect_for)) {
        co_return trash_outcome::too_new;
    }
    const auto key = core->names.block(name);
    if (trash_rule::deletes_at_once(options.lifetime)) {
        if (!core->options.unsafe_delete) {
            co_return fail(errc::unsupported,
                           "trash is disabled: BlobTrashLifetime is 0 and the volume's UnsafeDelete is false");
        }
        KS_CO_CHECK(co_await core->del(key, until));
        // A marker without a block has no meaning; if the block was just written anew it gets another one when needed.
        static_cast<void>(co_await core->del(core->names.recent(name), until));
        core->downloads.forget(name);
        co_return trash_outcome::trashed;
    }
    KS_CO_CHECK(co_await check_race_window(*core, name, options.lifetime, until));
    KS_CO_CHECK(co_await core->safe_copy(key, core->names.trash(name), found.block.validator(), until));
    KS_CO_TRY(const bool unchanged, co_await is_unchanged(*core, name, found, until));
    if (!unchanged) co_return trash_outcome::too_new;
    KS_CO_CHECK(co_await core->del(key, until));
    core->downloads.forget(name);
    co_return trash_outcome::trashed;
}

awaitable<result<void>> s3_core::untrash(md5_digest name, deadline until) {
    const auto core = shared_from_this();
    const auto key = core->names.block(name);
    const auto trash_key = core->names.trash(name);
    KS_CO_TRY(const auto trash, co_await core->head(trash_key, until));
    auto block = co_await core->head(key, until);
    if (!block && block.error() != errc::not_found) co_return std::unexpected(std::move(block.error()));
    bool good = false;
    if (block) {
        KS_CO_TRY(good, co_await core->is_block(key, *block, name, until));
    }
    if (!good) {
        KS_CO_TRY(good, co_await core->is_block(trash_key, trash, name, until));
        if (block && !good) co_return fail(errc::checksum_mismatch, "neither the block nor its trash copy is good");
        KS_CO_CHECK(co_await core->safe_copy(trash_key, key, trash.validator(), until));
        core->downloads.forget(name);
    }
    KS_CO_CHECK(co_await core->renew_recent(name, size_at_most(trash), until));
    if (!good) co_return fail(errc::checksum_mismatch, "the copy that was brought back is bad");
    co_return success();
}

}  // namespace keepstore::volumes::s3
