#include "volumes/s3/s3_core.hpp"

#include "base/log.hpp"
#include "volumes/cloud/page_sweep.hpp"
#include "volumes/s3/limits.hpp"
#include "volumes/trash_rule.hpp"

#include <string>
#include <string_view>
#include <utility>

namespace keepstore::volumes::s3 {
namespace {

using cloud::swept;

/// The state of a look at an object.
struct sweep {
    s3_core& core;
    deadline until;
    block_time began;
};

// Returns whether the trash copy may be deleted. The rules and their order are the Go daemon's (docs/interface.md 4.6).
awaitable<result<bool>> is_due(sweep& s, md5_digest name, sys_seconds trashed_at) {
    auto& core = s.core;
    const auto recent = co_await core.head(core.names.recent(name), s.until);
    if (!recent && recent.error() == errc::not_found) {
        log::warning("a block in the trash has no marker of its time of writing; restoring it",
                     {{"block", name.hex()}, {"bucket", core.options.bucket}});
        KS_CO_CHECK(co_await core.untrash(name, s.until));
        co_return false;
    }
    if (!recent) co_return std::unexpected(recent.error());
    const auto protect_for = core.options.protect_for;
    if (trash_rule::trashed_by_mistake(recent->last_modified, trashed_at, protect_for)) {
        if (trash_rule::protection_ends_within(core.options.race_window, recent->last_modified, s.began, protect_for)) {
            // The marker is too old to protect the block from being trashed once more within a race window from now.
            KS_CO_CHECK(co_await core.fix_race(name, s.until));
            auto touched = co_await core.touch(name, s.until);
            if (!touched && touched.error() != errc::not_found) co_return std::unexpected(std::move(touched.error()));
            co_return false;
        }
        const auto block = co_await core.head(core.names.block(name), s.until);
        if (!block && block.error() == errc::not_found) {
            KS_CO_CHECK(co_await core.fix_race(name, s.until));
            co_return false;
        }
        if (!block) co_return std::unexpected(block.error());
    }
    co_return trash_rule::may_delete(trashed_at, s.began, core.options.trash_lifetime);
}

awaitable<result<bool>> empty_one(sweep& s, md5_digest name, const protocol::listed_object& object) {
    auto& core = s.core;
    const auto trashed_at = core.observed(object.key, object.last_modified);
    auto due = co_await is_due(s, name, trashed_at);
    if (!due || !*due) co_return due;
    KS_CO_CHECK(co_await core.del(object.key, s.until));
    // The marker is deleted with the last copy of the block.
    const auto block = co_await core.head(core.names.block(name), s.until);
    if (block) co_return true;
    if (block.error() != errc::not_found) co_return std::unexpected(block.error());
    KS_CO_CHECK(co_await core.del(core.names.recent(name), s.until));
    co_return true;
}

awaitable<result<swept>> look_at(sweep s, const protocol::listed_object& object) {
    const auto name = s.core.names.parse(std::string_view(object.key).substr(object_names::trash_folder.size()));
    if (!name) co_return swept::not_trash;
    KS_CO_TRY(const bool deleted, co_await empty_one(s, *name, object));
    co_return deleted ? swept::deleted : swept::kept;
}

// Not a pending call: a slow listing of the trash, for which no client waits, is no sign that the bucket stalls.
awaitable<result<protocol::list_page>> list_trash(s3_core& core, protocol::list_options where, deadline until) {
    co_return core.noted(co_await core.client.list(std::move(where), until));
}

}  // namespace

awaitable<result<empty_trash_stats>> s3_core::empty_trash(unsigned workers, deadline until) {
    const auto core = shared_from_this();
    auto look = [&core, until](const protocol::listed_object& object, block_time began) {
        return look_at({*core, until, began}, object);
    };
    auto swept = co_await cloud::sweep_pages(
        *core, {.where = {.prefix = std::string(object_names::trash_folder), .keys_max = options.index_page_size},
                .list = [&core, until](auto where) { return list_trash(*core, std::move(where), until); },
                .workers = workers,
                .look = std::move(look)});
    if (!swept || !options.writable) co_return swept;
    // Uploads of a killed daemon are too young to be aborted at its restart, and the next start may be months away. The
    // trash is swept, whatever comes of them.
    static_cast<void>(co_await abort_orphan_uploads());
    co_return swept;
}

awaitable<result<void>> s3_core::abort_orphan_uploads() {
    const auto core = shared_from_this();
    std::string after_key;
    std::string after_id;
    std::size_t aborted = 0;
    while (true) {
        const auto page =
            co_await core->client.list_uploads({}, after_key, after_id, deadline::in(limits::s3_abort_timeout));
        // Credentials that may not list uploads are common; then the bucket's lifecycle rule has to do it.
        if (!page) co_return std::unexpected(page.error());
        for (const auto& upload : page->uploads) {
            if (!core->names.parse(upload.key) || !upload.initiated) continue;
            if (core->now_at_most() - block_time(*upload.initiated) < limits::s3_orphan_upload_age) continue;
            const auto done = co_await core->client.abort_multipart(upload.key, upload.upload_id,
                                                                    deadline::in(limits::s3_abort_timeout));
            if (done) ++aborted;
        }
        if (!page->truncated) break;
        after_key = page->next_key;
        after_id = page->next_upload_id;
    }
    if (aborted > 0)
        log::info("aborted orphaned multipart uploads", {{"count", aborted}, {"bucket", core->options.bucket}});
    co_return success();
}

}  // namespace keepstore::volumes::s3
