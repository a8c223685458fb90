#include "volumes/azure/azure_core.hpp"

#include "base/log.hpp"
#include "volumes/cloud/page_sweep.hpp"
#include "volumes/trash_rule.hpp"

#include <algorithm>
#include <utility>

namespace keepstore::volumes::azure {
namespace {

using cloud::swept;

struct sweep {
    std::shared_ptr<azure_core> core;
    deadline until;
    block_time began;  ///< Of the sweep, by the earlier of our clock and the service's; ages are relative to it.
};

void warn(const sweep& s, const md5_digest& name, std::string_view error) {
    log::warning("cannot process a block in the trash",
                 {{"block", name.hex()}, {"container", s.core->options.container}, {"error", error}});
}

awaitable<result<swept>> look_at(sweep& s, const protocol::listed_object& blob) {
    const auto name = md5_digest::parse(blob.key);
    if (!name || !is_trashed(blob.metadata)) co_return swept::not_trash;
    const auto due = deletion_second_of(blob.metadata);
    if (!due) {
        warn(s, *name, "expires_at is no number");
        co_return swept::kept;
    }
    if (!trash_rule::may_delete(*due, s.began)) co_return swept::kept;
    const auto deleted = co_await s.core->del(*name, blob.etag, s.until);
    if (deleted) co_return swept::deleted;
    if (deleted.error() == errc::not_found) co_return swept::not_trash;
    const bool changed = kind_of(deleted.error()) == error_kind::precondition;
    if (!changed && (deleted.error() == errc::cancelled || !s.core->breaker->allow()))
        co_return std::unexpected(deleted.error());
    if (!changed) warn(s, *name, deleted.error().text);
    co_return swept::kept;
}

}  // namespace

awaitable<result<empty_trash_stats>> azure_core::empty_trash(unsigned workers, deadline until) {
    const auto core = shared_from_this();
    sweep s{.core = core, .until = until, .began = core->now_at_most()};
    cloud::page_sweep pages(workers, [&s](const protocol::listed_object& blob) { return look_at(s, blob); });
    service::list_options where{.keys_max = core->options.list_keys_max};
    while (true) {
        KS_CO_TRY(auto page, co_await core->list(where, until));
        // The clock of this server or of the service may be wrong; the response may just have shown it.
        s.began = std::min(s.began, core->now_at_most());
        where.continue_after(page);
        KS_CO_CHECK(co_await pages.run(std::move(page.objects)));
        if (!page.truncated) co_return pages.stats();
    }
}

}  // namespace keepstore::volumes::azure
