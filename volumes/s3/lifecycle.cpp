#include "volumes/s3/lifecycle.hpp"

#include "base/limits.hpp"
#include "base/log.hpp"
#include "volumes/trash_rule.hpp"

namespace keepstore::volumes::s3 {
namespace {

struct block_state {
    protocol::object_info block;
    sys_seconds mtime;
};

awaitable<result<block_state>> look(s3_core& core, md5_digest name, deadline until) {
    auto block = co_await core.head(core.names.block(name), until);
    if (!block) co_return std::unexpected(std::move(block.error()));
    auto recent = co_await core.head(core.names.recent(name), until);
    if (!recent && recent.error() == errc::not_found) {
        log::info("a block has no marker of when it was written; it gets one now",
                  {{"block", name.hex()}, {"bucket", core.options.bucket}});
        auto marked = co_await core.mark_recent(name, {}, until);
        if (!marked) co_return std::unexpected(std::move(marked.error()));
        recent = co_await core.head(core.names.recent(name), until);
    }
    if (!recent) co_return std::unexpected(std::move(recent.error()));
    co_return block_state{std::move(*block), recent->last_modified};
}

// Whether a copy of this block may be put into the trash. What is there already would be overwritten, with a time that
// may not be seen everywhere for a race window; if it may be emptied until then, the new copy could go with it.
awaitable<result<void>> check_race_window(s3_core& core, md5_digest name, std::chrono::nanoseconds lifetime,
                                          deadline until) {
    const auto trash = co_await core.head(core.names.trash(name), until);
    if (!trash && trash.error() == errc::not_found) co_return result<void>();
    if (!trash) co_return std::unexpected(trash.error());
    if (!trash_rule::may_replace_copy(core.options.race_window, trash->last_modified, core.now_at_least(), lifetime)) {
        co_return fail(errc::unavailable, "the same block is in the trash already and due to be deleted");
    }
    co_return result<void>();
}

// Whether nobody has written the block or its marker since we looked. A client may just have replaced a rotten copy, of
// which the trash now has the rot: what it was promised must not be deleted. Where both are equal the copy in the trash
// would do (fix_race), and costs more. The block comes last, since it is written before its marker, and is gone for
// good if it is written between this look and the deletion: a condition that DELETE could have is known to few
// services.
awaitable<result<bool>> is_unchanged(s3_core& core, md5_digest name, const block_state& before, deadline until) {
    const auto recent = co_await core.head(core.names.recent(name), until);
    if (!recent && !(recent.error() == errc::not_found)) co_return std::unexpected(recent.error());
    if (!recent || recent->last_modified != before.mtime) co_return false;
    const auto block = co_await core.head(core.names.block(name), until);
    // Gone by somebody else's hand: deleting it once more does no harm.
    if (!block && block.error() == errc::not_found) co_return true;
    if (!block) co_return std::unexpected(block.error());
    co_return block->etag == before.block.etag && block->last_modified == before.block.last_modified;
}

}  // namespace

awaitable<result<bool>> touch_block(std::shared_ptr<s3_core> core, md5_digest name, deadline until) {
    auto block = co_await core->head(core->names.block(name), until);
    if (!block) {
        if (!(block.error() == errc::not_found)) co_return std::unexpected(std::move(block.error()));
        auto fixed = co_await core->fix_race(name, until);
        if (!fixed) co_return std::unexpected(std::move(fixed.error()));
        if (!*fixed) co_return std::unexpected(std::move(block.error()));
    }
    // After a race nobody has looked at the size; attributes are kept in any case.
    const auto size = block ? block->size : limits::block_size_bytes_max;
    auto marked = co_await core->renew_recent(name, size, until);
    if (!marked) co_return std::unexpected(std::move(marked.error()));
    co_return true;
}

awaitable<result<block_time>> mtime_of_block(std::shared_ptr<s3_core> core, md5_digest name, deadline until) {
    auto found = co_await look(*core, name, until);
    if (!found) co_return std::unexpected(std::move(found.error()));
    co_return block_time(found->mtime);
}

awaitable<result<trash_outcome>> trash_block(std::shared_ptr<s3_core> core, md5_digest name, trash_options options,
                                             deadline until) {
    auto found = co_await look(*core, name, until);
    if (!found) co_return std::unexpected(std::move(found.error()));
    const block_time mtime = found->mtime;
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
        auto deleted = co_await core->del(key, until);
        if (!deleted) co_return std::unexpected(std::move(deleted.error()));
        // The marker without a block means nothing; if the block was just written anew it gets another one when needed.
        static_cast<void>(co_await core->del(core->names.recent(name), until));
        core->fetches.forget(name);
        co_return trash_outcome::trashed;
    }
    auto safe = co_await check_race_window(*core, name, options.lifetime, until);
    if (!safe) co_return std::unexpected(std::move(safe.error()));
    auto copied = co_await core->safe_copy(key, core->names.trash(name), found->block.etag, until);
    if (!copied) co_return std::unexpected(std::move(copied.error()));
    auto same = co_await is_unchanged(*core, name, *found, until);
    if (!same) co_return std::unexpected(std::move(same.error()));
    if (!*same) co_return trash_outcome::too_new;
    auto deleted = co_await core->del(key, until);
    if (!deleted) co_return std::unexpected(std::move(deleted.error()));
    core->fetches.forget(name);
    co_return trash_outcome::trashed;
}

awaitable<result<bool>> untrash_block(std::shared_ptr<s3_core> core, md5_digest name, deadline until) {
    const auto key = core->names.block(name);
    auto trash = co_await core->head(core->names.trash(name), until);
    if (!trash) co_return std::unexpected(std::move(trash.error()));
    auto block = co_await core->head(key, until);
    if (!block && !(block.error() == errc::not_found)) co_return std::unexpected(std::move(block.error()));
    // A block that is there stays, unless its ETag shows that it is not what its name says and the one in the trash is.
    const auto etag = block ? block->etag_as_md5() : std::nullopt;  // None: it was written in parts, or is encrypted.
    const bool better = etag && *etag != name && trash->etag_as_md5() == name;
    if (!block || better) {
        auto copied = co_await core->safe_copy(core->names.trash(name), key, trash->etag, until);
        if (!copied) co_return std::unexpected(std::move(copied.error()));
        core->fetches.forget(name);
    }
    auto marked = co_await core->renew_recent(name, trash->size, until);
    if (!marked) co_return std::unexpected(std::move(marked.error()));
    co_return true;
}

}  // namespace keepstore::volumes::s3
