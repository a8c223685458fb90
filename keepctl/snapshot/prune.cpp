#include "keepctl/snapshot/prune.hpp"

#include "keepctl/cluster/limits.hpp"
#include "keepctl/snapshot/limits.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace keepstore::keepctl {
namespace {

constexpr std::string_view snapshots_folder = "snapshots/";
constexpr std::string_view probe_folder = "probe/";

/// What one version of latest.json, and the folders that were found, come to.
prune_plan decide(const latest_document& listed, std::span<const orphan> orphans, const prune_options& options,
                  std::chrono::sys_seconds now) {
    prune_plan out;
    const auto kept = apply_retention(listed.snapshots, options.rules, now);
    for (std::size_t i = 0; i < kept.size(); ++i)
        out.listed.push_back({listed.snapshots[i].id, listed.snapshots[i].listed_at, kept[i]});
    for (const auto& r : listed.removed)
        (now - r.removed_at >= options.grace ? out.to_delete : out.waiting).push_back({r.id, r.removed_at, {}});
    for (const auto& o : orphans) {
        // It may have been listed, or removed, since the folders were looked at.
        if (listed.find(o.id) || listed.has_removed(o.id)) continue;
        if (now - o.newest > limits::orphan_age)
            out.orphans.push_back({o.id, o.newest, {}});
        else
            ++out.orphans_young;
    }
    return out;
}

/// Moves what goes to `removed`. \returns whether there was something.
bool move_to_removed(latest_document& latest, const prune_plan& plan, std::chrono::sys_seconds now) {
    bool any = false;
    const auto add = [&](const prune_plan::item& item) {
        if (latest.removed.size() >= limits::removed_max) return false;
        latest.removed.push_back({.id = item.id, .removed_at = now});
        return any = true;
    };
    for (const auto& item : plan.listed) {
        if (item.kept_by.empty() && add(item))
            std::erase_if(latest.snapshots, [&](const listed_snapshot& s) { return s.id == item.id; });
    }
    for (const auto& item : plan.orphans) add(item);
    if (any) ++latest.sequence;
    return any;
}

/// Whether all that the plan removes is removed, by the swap of this prune or of another one.
bool was_carried_out(const prune_plan& plan, const latest_document& latest) {
    const auto stays = [&](const prune_plan::item& item) { return !latest.has_removed(item.id); };
    return std::ranges::none_of(plan.orphans, stays) &&
           std::ranges::none_of(plan.listed, [&](const auto& item) { return item.kept_by.empty() && stays(item); });
}

/// Deletes a folder, its metadata last: as long as these are there, the next prune sees a snapshot.
awaitable<outcome<std::uint64_t>> delete_objects(repository& in, const snapshot_id& id) {
    auto there = co_await in.store().list(id.folder(), request_deadline());
    if (!there) co_return refuse(there.error(), id.text());
    const auto is_metadata = [&](const stored_object& o) { return o.key == id.folder() + std::string(metadata_name); };
    std::ranges::partition(*there, std::not_fn(is_metadata));
    for (const auto& object : *there) {
        if (auto removed = co_await in.store().remove(object.key, request_deadline()); !removed)
            co_return refuse(removed.error(), object.key);
    }
    co_return there->size();
}

/// What commands that were killed have left, apart from folders of snapshots.
awaitable<result<void>> remove_remains(repository& in) {
    const auto before = in.now() - limits::orphan_age;
    KS_CO_TRY(const auto probes, co_await in.store().list(std::string(probe_folder), request_deadline()));
    for (const auto& object : probes) {
        if (object.written_at < before) KS_CO_CHECK(co_await in.store().remove(object.key, request_deadline()));
    }
    co_return co_await in.store().remove_unfinished(before, request_deadline());
}

}  // namespace

awaitable<outcome<std::vector<orphan>>> find_orphans(repository& in) {
    // The folders first: one that is listed in between is no orphan.
    auto objects = co_await in.store().list(std::string(snapshots_folder), deadline::in(limits::listing_time_max));
    if (!objects) co_return refuse(objects.error(), in.store().name());
    auto listed = co_await in.latest();
    if (!listed) co_return std::unexpected(std::move(listed.error()));
    std::map<std::string, orphan> found;
    for (const auto& object : *objects) {
        const auto name = std::string_view(object.key).substr(snapshots_folder.size());
        auto id = snapshot_id::parse(name.substr(0, name.find('/')));
        // What is not ours is left alone.
        if (!id || listed->find(*id) || listed->has_removed(*id)) continue;
        auto& one = found.try_emplace(id->text(), orphan{.id = *id, .newest = object.written_at}).first->second;
        one.newest = std::max(one.newest, object.written_at);
        ++one.objects;
        one.has_metadata |= object.key == id->folder() + std::string(metadata_name);
    }
    std::vector<orphan> out;
    for (auto& [text, one] : found) out.push_back(std::move(one));
    co_return out;
}

awaitable<outcome<prune_end>> prune(repository& in, prune_options options) {
    KS_CO_TRY(auto orphans, co_await find_orphans(in));
    prune_end out;
    if (options.dry_run) {
        KS_CO_TRY(auto listed, co_await in.latest());
        out.plan = decide(listed, orphans, options, in.now());
        co_return out;
    }
    bool attempted = false;
    std::optional<prune_plan> done;
    auto now_listed = co_await in.change(
        [&](latest_document& latest) -> awaitable<outcome<bool>> {
            auto plan = decide(latest, orphans, options, in.now());
            const bool any = move_to_removed(latest, plan, in.now());
            // After a swap whose response was lost there is nothing left to do: the plan of that swap counts.
            if (any || !done || !was_carried_out(*done, latest)) done = std::move(plan);
            co_return any;
        },
        attempted);
    if (!now_listed) co_return std::unexpected(std::move(now_listed.error()));
    out.plan = std::move(*done);
    std::vector<snapshot_id> deleted;
    for (const auto& item : now_listed->removed) {
        if (in.now() - item.removed_at < options.grace) continue;
        KS_CO_TRY(auto count, co_await delete_objects(in, item.id));
        out.objects_deleted += count;
        deleted.push_back(item.id);
    }
    out.snapshots_deleted = deleted.size();
    if (!deleted.empty()) {
        auto dropped = co_await in.change(
            [&](latest_document& latest) -> awaitable<outcome<bool>> {
                const auto count = std::erase_if(latest.removed, [&](const removed_snapshot& r) {
                    return std::ranges::find(deleted, r.id) != deleted.end();
                });
                if (count > 0) ++latest.sequence;
                co_return count > 0;
            },
            attempted);
        if (!dropped) co_return std::unexpected(std::move(dropped.error()));
    }
    if (auto tidy = co_await remove_remains(in); !tidy) co_return refuse(tidy.error(), "removing what is left over");
    co_return out;
}

}  // namespace keepstore::keepctl
