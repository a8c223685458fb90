#include "store/lists/trash_worker.hpp"

#include "base/cancellable.hpp"
#include "base/log.hpp"
#include "store/limits.hpp"
#include "store/lists/run_worker.hpp"
#include "volumes/trash_rule.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

namespace keepstore::store {
namespace {

awaitable<void> trash_on(block_store& store, const mount& m, const protocol::locator& block,
                         volumes::block_time expected) {
    const auto& options = store.context().options;
    const auto outcome = co_await m.volume->trash(
        block.hash, {.protect_for = options.protect_for, .lifetime = options.trash_lifetime, .only_if_mtime = expected},
        deadline::in(limits::trash_item_timeout));
    auto& counters = store.context().counters;
    const std::string name = block.hash.hex();
    const std::initializer_list<log::field> fields{{"block", name}, {"mount", m.uuid}};
    if (!outcome) {
        if (outcome.error() == errc::not_found) co_return counters.trash_missing.add();
        counters.trash_failed.add();
        co_return log::warning("trash list: " + outcome.error().text, fields);
    }
    switch (*outcome) {
        case volumes::trash_outcome::trashed:
            counters.trashed.add();
            co_return log::info("trash list: trashed", fields);
        case volumes::trash_outcome::too_new:
            counters.trash_kept.add();
            co_return log::info("trash list: kept, it was written or touched within BlobSigningTTL", fields);
        case volumes::trash_outcome::changed:
            counters.trash_kept.add();
            co_return log::info("trash list: kept, stored mtime differs from the list's", fields);
    }
}

}  // namespace

awaitable<void> execute_trash_item(block_store& store, protocol::trash_item item) {
    const auto refuse = [&](std::string_view why, std::initializer_list<log::field> fields = {}) {
        store.context().counters.trash_refused.add();
        log::warning(why, fields);
    };
    const auto block = protocol::locator::parse(item.locator);
    if (!block) co_return refuse("trash list: invalid locator, item skipped");
    const std::string name = block->hash.hex();
    const volumes::block_time expected{std::chrono::nanoseconds(item.block_mtime)};
    const auto now = std::chrono::system_clock::now();
    if (!volumes::trash_rule::may_trash(expected, now, store.context().options.protect_for))
        co_return refuse("trash list: item is newer than BlobSigningTTL, skipped", {{"block", name}});
    if (!item.mount_uuid.empty()) {
        const mount* const m = store.mounts().find(item.mount_uuid);
        if (!m)
            co_return refuse("trash list: no such mount, item skipped", {{"block", name}, {"mount", item.mount_uuid}});
        if (!m->allow_trash)
            co_return refuse("trash list: mount does not allow trash, item skipped",
                             {{"block", name}, {"mount", item.mount_uuid}});
        co_return co_await trash_on(store, *m, *block, expected);
    }
    for (const mount& m : store.mounts().all())
        if (m.allow_trash) co_await trash_on(store, m, *block, expected);
}

awaitable<void> run_trash_worker(block_store& store, work_queue<protocol::trash_item>& queue) {
    return run_worker(
        queue, [&store](protocol::trash_item item) { return execute_trash_item(store, std::move(item)); },
        [&store](const std::exception& e) {
            store.context().counters.trash_failed.add();
            log::error(std::string("trash list: an item failed: ") + e.what());
        });
}

awaitable<void> run_trash_emptier(block_store& store, empty_trash_options options) {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    timer.expires_after(std::chrono::duration_cast<asio::steady_timer::duration>(options.first_after));
    while (true) {
        const auto [waited] = co_await expiry(timer);
        if (waited) co_return;
        for (const mount& m : store.mounts().all()) {
            if (!m.allow_trash) continue;
            const auto emptied = co_await m.volume->empty_trash(options.concurrency, deadline::never());
            if (co_await is_cancelled()) co_return;
            if (!emptied) {
                log::error("emptying the trash failed: " + emptied.error().text, {{"mount", m.uuid}});
                continue;
            }
            store.context().counters.trash_deleted_blocks.add(emptied->blocks_deleted);
            store.context().counters.trash_deleted_bytes.add(emptied->bytes_deleted);
            log::info("emptied the trash", {{"mount", m.uuid},
                                            {"blocksDeleted", emptied->blocks_deleted},
                                            {"bytesDeleted", emptied->bytes_deleted},
                                            {"blocksInTrash", emptied->blocks_in_trash},
                                            {"bytesInTrash", emptied->bytes_in_trash}});
        }
        timer.expires_after(std::chrono::duration_cast<asio::steady_timer::duration>(options.interval));
    }
}

}  // namespace keepstore::store
