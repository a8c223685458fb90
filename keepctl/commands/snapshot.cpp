// snapshot init, list, show, check, prune, adopt.

#include "base/utc_text.hpp"
#include "keepctl/cluster/shards.hpp"
#include "keepctl/commands/commands.hpp"
#include "keepctl/commands/progress.hpp"
#include "keepctl/commands/snapshot_context.hpp"
#include "keepctl/snapshot/check.hpp"
#include "keepctl/snapshot/create.hpp"
#include "keepctl/snapshot/prune.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace keepstore::keepctl {
namespace {

awaitable<outcome<exit_code>> init(snapshot_context& c) {
    std::string cluster = c.run.config() ? c.run.config()->cluster.id : std::string();
    KS_CO_CHECK(co_await c.repo.init(std::move(cluster)));
    const auto& made = c.repo.identity();
    c.out().say(fmt::format("{} is repository {} of cluster {}", c.repo.store().name(), made.repository,
                            made.cluster.empty() ? "(none)" : made.cluster));
    c.summary = {{"repository", made.repository}, {"cluster", made.cluster}};
    co_return exit_code::done;
}

awaitable<outcome<exit_code>> list_orphans(snapshot_context& c) {
    KS_CO_TRY(auto orphans, co_await find_orphans(c.repo));
    for (const auto& o : orphans) {
        c.out().add("orphan", {{"id", o.id.text()},
                               {"newest_object", utc_text(o.newest)},
                               {"objects", o.objects},
                               {"state", o.has_metadata ? "complete: can be adopted" : "incomplete"}});
    }
    c.summary = {{"orphans", orphans.size()}};
    co_return exit_code::done;
}

awaitable<outcome<exit_code>> list(snapshot_context& c) {
    if (c.asked().orphans) co_return co_await list_orphans(c);
    KS_CO_TRY(auto listed, co_await c.repo.latest());
    for (const auto& s : listed.snapshots) {
        c.out().add("snapshot", {{"id", s.id.text()},
                                 {"sequence", s.sequence},
                                 {"listed_at", utc_text(s.listed_at)},
                                 {"blocks", s.blocks},
                                 {"replicas", s.replicas},
                                 {"bytes", s.bytes}});
    }
    c.summary = {{"repository", listed.repository},
                 {"sequence", listed.sequence},
                 {"snapshots", listed.snapshots.size()},
                 {"removed", listed.removed.size()}};
    co_return exit_code::done;
}

void show_mounts(const snapshot_context& c, const snapshot_document& of) {
    for (const auto& m : of.mounts) {
        c.out().add("mount", {{"mount", m.uuid},
                              {"device", m.device_id},
                              {"server", m.server},
                              {"replication", m.replication},
                              {"classes", m.classes}});
    }
}

awaitable<outcome<void>> show_blocks(const snapshot_context& c, const snapshot_document& of) {
    for (std::size_t shard = 0; shard < of.objects.size(); ++shard) {
        KS_CO_TRY(const auto buffer, co_await c.repo.inventory(of, shard));
        for (auto rest = buffer->entries(); !rest.empty();) {
            const auto copies = take_block(rest);
            std::vector<std::string> mounts;
            for (const auto& copy : copies) mounts.push_back(of.mounts[copy.mount].uuid);
            c.out().add("block", {{"block", block_id{copies.front().block, copies.front().size}.text()},
                                  {"copies", copies.size()},
                                  {"written", time_text(copies.front().mtime)},
                                  {"mounts", std::move(mounts)}});
        }
        if (c.out().broken()) co_return refuse(exit_code::not_finished, "standard output is closed");
    }
    co_return outcome<void>();
}

awaitable<outcome<exit_code>> show(snapshot_context& c) {
    KS_CO_TRY(auto listed, co_await c.repo.latest());
    KS_CO_TRY(const auto which, c.find(listed, c.asked().id));
    KS_CO_TRY(auto document, co_await c.repo.metadata(*which));
    c.summary = {{"id", document.id.text()}};
    if (c.asked().mounts) {
        show_mounts(c, document);
    } else if (c.asked().blocks) {
        KS_CO_CHECK(co_await show_blocks(c, document));
    } else {
        c.out().add("snapshot", {{"id", document.id.text()},
                                 {"sequence", which->sequence},
                                 {"scope", document.scope},
                                 {"cluster", document.cluster},
                                 {"started_at", utc_text(document.started_at)},
                                 {"completed_at", utc_text(document.completed_at)},
                                 {"mounts", document.mounts.size()},
                                 {"objects", document.objects.size()},
                                 {"blocks", document.totals.blocks},
                                 {"replicas", document.totals.replicas},
                                 {"bytes", document.totals.bytes},
                                 {"stored_bytes", document.totals.stored_bytes},
                                 {"tool", document.tool}});
    }
    co_return exit_code::done;
}

awaitable<outcome<exit_code>> check(snapshot_context& c) {
    KS_CO_TRY(auto listed, co_await c.repo.latest());
    std::vector<listed_snapshot> wanted = listed.snapshots;
    if (!c.asked().id.empty()) {
        KS_CO_TRY(const auto which, c.find(listed, c.asked().id));
        wanted = {*which};
    }
    std::uint64_t damaged = 0;
    std::uint64_t pruned = 0;
    for (const auto& one : wanted) {
        KS_CO_TRY(auto checked, co_await check_snapshot(c.repo, one, c.asked().read));
        const bool gone = checked.damage && checked.pruned;
        pruned += gone ? 1 : 0;
        damaged += checked.damage && !gone ? 1 : 0;
        c.out().add("snapshot", {{"id", one.id.text()},
                                 {"sequence", one.sequence},
                                 {"state", !checked.damage ? "whole"
                                           : gone          ? "pruned meanwhile"
                                                           : "damaged"},
                                 {"problem", checked.damage && !gone ? cell(*checked.damage) : cell()}});
    }
    c.summary = {{"checked", wanted.size()}, {"damaged", damaged}, {"pruned", pruned}, {"read", c.asked().read}};
    if (damaged == 0) co_return exit_code::done;
    const auto whole = co_await newest_whole(c.repo, listed, std::nullopt);
    c.out().flush();
    c.out().error(
        fmt::format("damaged: {} of {}; {}", damaged, count_of(wanted.size(), "snapshot"),
                    whole ? "the newest that has all its objects is " + whole->text() : "none has all its objects"));
    c.summary.emplace_back("newest_whole", whole ? cell(whole->text()) : cell());
    co_return exit_code::some_failed;
}

void show_plan(const snapshot_context& c, const prune_plan& plan) {
    const auto add = [&](const prune_plan::item& item, std::string state) {
        c.out().add("snapshot", {{"id", item.id.text()},
                                 {"at", utc_text(item.at)},
                                 {"state", std::move(state)},
                                 {"kept_by", item.kept_by}});
    };
    const bool dry = c.given().dry_run;
    for (const auto& item : plan.listed)
        add(item, !item.kept_by.empty() ? "kept" : dry ? "would be removed" : "removed");
    for (const auto& item : plan.orphans) add(item, dry ? "orphan: would be removed" : "orphan: removed");
    for (const auto& item : plan.waiting) add(item, "removed earlier: within --grace");
    for (const auto& item : plan.to_delete)
        add(item, dry ? "removed earlier: would be deleted" : "removed earlier: deleted");
}

awaitable<outcome<exit_code>> prune_some(snapshot_context& c) {
    if (!c.asked().keep.any())
        co_return refuse(exit_code::usage,
                         "prune needs a rule: --keep-last, --keep-within, --keep-daily, --keep-weekly, --keep-monthly");
    // Also finds out how the service wants its conditions.
    if (!c.given().dry_run) {
        KS_CO_CHECK(co_await c.repo.prove_swap());
    }
    KS_CO_CHECK(co_await c.repo.set_clock());
    auto done =
        co_await prune(c.repo, {.rules = c.asked().keep, .grace = c.asked().grace, .dry_run = c.given().dry_run});
    if (!done) co_return std::unexpected(std::move(done.error()));
    show_plan(c, done->plan);
    const auto removed = std::ranges::count_if(done->plan.listed, [](const auto& i) { return i.kept_by.empty(); });
    c.summary = {{"dry_run", c.given().dry_run},
                 {"kept", done->plan.listed.size() - static_cast<std::size_t>(removed)},
                 {"removed", removed},
                 {"orphans_removed", done->plan.orphans.size()},
                 {"orphans_young", done->plan.orphans_young},
                 {"waiting", done->plan.waiting.size()},
                 {"deleted", done->snapshots_deleted},
                 {"objects_deleted", done->objects_deleted}};
    co_return exit_code::done;
}

awaitable<outcome<exit_code>> adopt(snapshot_context& c) {
    const auto id = snapshot_id::parse(c.asked().id);
    if (!id) co_return refuse(exit_code::usage, "adopt takes an id; keepctl snapshot list --orphans shows them");
    KS_CO_CHECK(co_await c.repo.prove_swap());
    KS_CO_CHECK(co_await c.repo.set_clock());
    KS_CO_TRY(auto found, co_await read_unlisted(c.repo, *id));
    bool attempted = false;
    KS_CO_TRY(auto now,
              co_await c.repo.change(listing_edit(c.repo, std::move(found.document), found.sha256), attempted));
    const auto* const listed = now.find(*id);
    c.out().say(fmt::format("snapshot {} is listed with sequence {}", id->text(), listed->sequence));
    c.summary = {{"id", id->text()}, {"sequence", listed->sequence}};
    co_return exit_code::done;
}

}  // namespace

outcome<exit_code> run_snapshot_init(session& s) {
    return run_on_repository(s, init, false);
}
outcome<exit_code> run_snapshot_list(session& s) {
    return run_on_repository(s, list);
}
outcome<exit_code> run_snapshot_show(session& s) {
    return run_on_repository(s, show);
}
outcome<exit_code> run_snapshot_check(session& s) {
    return run_on_repository(s, check);
}
outcome<exit_code> run_snapshot_prune(session& s) {
    return run_on_repository(s, prune_some);
}
outcome<exit_code> run_snapshot_adopt(session& s) {
    return run_on_repository(s, adopt);
}

}  // namespace keepstore::keepctl
