#include "volumes/azure/azure_core.hpp"

#include "volumes/cloud/page_sweep.hpp"
#include "volumes/trash_rule.hpp"

#include <utility>

namespace keepstore::volumes::azure {
namespace {

using cloud::swept;

awaitable<result<swept>> look_at(azure_core& core, const protocol::listed_object& blob, block_time began,
                                 deadline until) {
    const auto name = md5_digest::parse(blob.key);
    if (!name || !is_trashed(blob.metadata)) co_return swept::not_trash;
    const auto due = deletion_second_of(blob.metadata);
    if (!due) {
        cloud::warn_of_trash(core, blob, "expires_at is no number");
        co_return swept::kept;
    }
    if (!trash_rule::may_delete(*due, began)) co_return swept::kept;
    const auto deleted = co_await core.del(*name, blob.etag, until);
    if (deleted) co_return swept::deleted;
    if (deleted.error() == errc::not_found) co_return swept::not_trash;
    // Changed since it was listed.
    if (kind_of(deleted.error()) == error_kind::precondition) co_return swept::kept;
    co_return std::unexpected(deleted.error());
}

}  // namespace

awaitable<result<empty_trash_stats>> azure_core::empty_trash(unsigned workers, deadline until) {
    const auto core = shared_from_this();
    auto look = [&core, until](const protocol::listed_object& blob, block_time began) {
        return look_at(*core, blob, began, until);
    };
    co_return co_await cloud::sweep_pages(
        *core, {.where = {.keys_max = core->options.list_keys_max},
                .list = [&core, until](auto where) { return core->list(std::move(where), until); },
                .workers = workers,
                .look = std::move(look)});
}

}  // namespace keepstore::volumes::azure
