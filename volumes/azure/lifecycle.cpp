#include "volumes/azure/azure_core.hpp"

#include "volumes/trash_rule.hpp"

#include <utility>

namespace keepstore::volumes::azure {
namespace {

// The blob of a block that is not in the trash.
awaitable<result<protocol::object_info>> look_at_block(azure_core& core, md5_digest name, deadline until) {
    KS_CO_TRY(auto blob, co_await core.head(name, until));
    if (is_trashed(blob.metadata)) co_return fail(errc::not_found);
    co_return blob;
}

bool is_lost_race(const result<void>& change) {
    return !change && kind_of(change.error()) == error_kind::precondition;
}

}  // namespace

awaitable<result<void>> azure_core::touch(md5_digest name, deadline until) {
    const auto core = shared_from_this();
    KS_CO_TRY(auto blob, co_await look_at_block(*core, name, until));
    const auto changed =
        co_await core->set_metadata(name, touched(std::move(blob.metadata), core->this_second()), blob.etag, until);
    if (is_lost_race(changed)) {
        // Whatever changed the blob since it was looked at (another touch, a PUT, this very request, whose response was
        // lost) has renewed its time, too; unless it is in the trash now, or gone.
        KS_CO_CHECK(co_await look_at_block(*core, name, until));
        co_return success();
    }
    if (!changed) co_return std::unexpected(changed.error());
    co_return success();
}

awaitable<result<block_time>> azure_core::mtime(md5_digest name, deadline until) {
    const auto core = shared_from_this();
    KS_CO_TRY(const auto blob, co_await look_at_block(*core, name, until));
    co_return block_time(blob.last_modified);
}

awaitable<result<trash_outcome>> azure_core::trash(md5_digest name, trash_options options, deadline until) {
    const auto core = shared_from_this();
    KS_CO_TRY(auto blob, co_await look_at_block(*core, name, until));
    const block_time mtime = blob.last_modified;
    if (!trash_rule::has_expected_mtime(options.only_if_mtime, mtime)) co_return trash_outcome::changed;
    if (!trash_rule::may_trash_truncated(mtime, core->now_at_most(), options.protect_for)) {
        co_return trash_outcome::too_new;
    }
    result<void> changed;
    if (trash_rule::deletes_at_once(options.lifetime)) {
        changed = co_await core->del(name, blob.etag, until);
        // This very request may have deleted it, its response lost.
        if (!changed && changed.error() == errc::not_found) changed = success();
    } else {
        const auto second = trash_rule::deletion_second(core->now_at_least(), options.lifetime);
        changed = co_await core->set_metadata(name, trashed(std::move(blob.metadata), second), blob.etag, until);
    }
    core->downloads.forget(name);
    if (is_lost_race(changed)) {
        // Written or touched since it was looked at; or it is this very request, or another daemon's, that trashed it.
        const auto now = co_await look_at_block(*core, name, until);
        if (now) co_return trash_outcome::too_new;
        if (now.error() != errc::not_found) co_return std::unexpected(now.error());
        co_return trash_outcome::trashed;
    }
    if (!changed) co_return std::unexpected(changed.error());
    co_return trash_outcome::trashed;
}

awaitable<result<void>> azure_core::untrash(md5_digest name, deadline until) {
    const auto core = shared_from_this();
    bool met_another = false;
    for (int attempt = 0; attempt < limits::azure_change_attempts_max; ++attempt) {
        KS_CO_TRY(auto blob, co_await core->head(name, until));
        // After a lost race it was another untrash, a PUT, or this very request, whose response was lost.
        if (!is_trashed(blob.metadata)) {
            if (met_another) co_return success();
            co_return fail(errc::not_found);
        }
        const auto changed =
            co_await core->set_metadata(name, touched(std::move(blob.metadata), core->this_second()), blob.etag, until);
        if (changed) {
            core->downloads.forget(name);
            co_return success();
        }
        if (!is_lost_race(changed)) co_return std::unexpected(changed.error());
        met_another = true;
    }
    co_return fail(errc::unavailable, "other requests keep changing the block");
}

}  // namespace keepstore::volumes::azure
