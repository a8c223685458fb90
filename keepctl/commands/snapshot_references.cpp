#include "keepctl/commands/snapshot_references.hpp"

#include "keepctl/commands/snapshot_context.hpp"
#include "keepctl/snapshot/check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace keepstore::keepctl {
namespace {

/// The place of a snapshot that has all blocks of the cluster.
constexpr std::string_view whole_cluster = "cluster";

outcome<std::vector<listed_snapshot>> choose_snapshots(const snapshot_context& c, const latest_document& listed,
                                                       const kept_snapshots& which) {
    if (which.all && !listed.snapshots.empty()) return listed.snapshots;
    KS_TRY(const auto one, c.find(listed, which.id));
    return std::vector{*one};
}

/// A block once for each size that a copy has.
void add_blocks(std::span<const entry> sorted, std::uint32_t seen_at, std::vector<balance::reference>& out) {
    out.clear();
    while (!sorted.empty()) {
        const auto copies = take_block(sorted);
        for (std::size_t i = 0; i < copies.size(); ++i) {
            const auto same_size = [&](const entry& e) { return e.size == copies[i].size; };
            if (std::ranges::any_of(copies.first(i), same_size)) continue;
            out.push_back({.block = copies[i].block, .size = copies[i].size, .seen_at = seen_at});
        }
    }
}

/// \returns the number of references.
awaitable<outcome<std::uint64_t>> add_snapshot(snapshot_context& c, const snapshot_document& of, std::uint32_t seen_at,
                                               balance::reference_spool& into) {
    std::uint64_t count = 0;
    std::vector<balance::reference> found;
    for (std::size_t shard = 0; shard < of.objects.size(); ++shard) {
        KS_CO_TRY(const auto buffer, co_await c.repo.inventory(of, shard));
        add_blocks(buffer->entries(), seen_at, found);
        count += found.size();
        if (auto added = into.add(found); !added) co_return refuse(added.error(), "--state-dir");
    }
    co_return count;
}

awaitable<outcome<snapshot_references>> read_all(snapshot_context& c, std::uint32_t seen_at,
                                                 balance::reference_spool& into) {
    KS_CO_CHECK(co_await c.repo.open());
    KS_CO_CHECK(c.check_cluster());
    KS_CO_TRY(auto listed, co_await c.repo.latest());
    KS_CO_TRY(const auto chosen, choose_snapshots(c, listed, *c.given().balance.keep_snapshots));
    snapshot_references out;
    for (const auto& one : chosen) {
        KS_CO_TRY(auto document, co_await c.repo.metadata(one));
        KS_CO_TRY(const auto count, co_await add_snapshot(c, document, seen_at, into));
        out.count += count;
        if (document.scope == whole_cluster)
            out.cluster_at = std::max(out.cluster_at.value_or(document.started_at), document.started_at);
    }
    co_return out;
}

}  // namespace

awaitable<outcome<snapshot_references>> read_snapshot_references(session& s, std::uint32_t seen_at,
                                                                 balance::reference_spool& into) {
    KS_CO_TRY(auto store, open_store(s, s.given().balance.keep_snapshots->repository));
    repository repo(*store, [&s](std::string_view text) { s.out().warn(text); });
    snapshot_context context{.run = s, .repo = repo};
    auto found = co_await read_all(context, seen_at, into);
    if (found) co_return *found;
    // What is damaged, or not there, would be trashed.
    const auto code = found.error().code == exit_code::some_failed ? exit_code::refused : found.error().code;
    co_return refuse(code, "--keep-snapshots: " + found.error().text);
}

}  // namespace keepstore::keepctl
