#include "keepctl/balance/shard_planner.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace keepstore::keepctl::balance {

shard_planner::shard_planner(const cluster& all, const plan_options& options)
    : all_(all),
      options_(options),
      // One more than there can be, so that "too few" shows.
      desired_max_(
          static_cast<std::uint32_t>(std::min<std::int64_t>(all.replication_max() + 1, limits::balance_copies_max))),
      classes_of_device_(all.devices.size()),
      replication_of_device_(all.devices.size()),
      weights_(all),
      decider_(all) {
    for (const auto& m : all.mounts) {
        classes_of_device_[m.device] |= m.classes;
        replication_of_device_[m.device] = m.replication;
    }
    if (options.by_references) return;
    std::vector<std::uint32_t> same(all.classes.size());
    for (std::size_t c = 0; c < same.size(); ++c) {
        const auto offering =
            std::ranges::count_if(classes_of_device_, [&](class_bits b) { return (b >> c & 1) != 0; });
        if (offering == 0) continue;
        if (static_cast<std::size_t>(offering) < classes_of_device_.size() || !options.desired[c]) return;
        same[c] = std::min(*options.desired[c], desired_max_);
    }
    same_for_all_ = std::move(same);
}

void shard_planner::plan(std::span<const entry> entries, std::span<const reference> references, shard_plan& into) {
    while (!entries.empty() || !references.empty()) {
        const bool stored =
            !entries.empty() && (references.empty() || entries.front().block <= references.front().block);
        const md5_digest name = stored ? entries.front().block : references.front().block;
        const auto here = stored ? first_block(entries) : std::span<const entry>();
        std::size_t named = 0;
        while (named < references.size() && references[named].block == name) ++named;
        add_block(name, here, references.first(named), into);
        entries = entries.subspan(here.size());
        references = references.subspan(named);
    }
    decide_batch(into);
}

// The size that references name, if a copy has it; else that of most devices; of equal ones the larger one, since a
// copy that was cut is smaller.
std::uint32_t shard_planner::size_of(std::span<const entry> entries, std::span<const reference> references) {
    if (entries.empty()) return references.front().size;
    const auto same = [&](const entry& e) { return e.size == entries.front().size; };
    if (references.empty() && std::ranges::all_of(entries, same)) return entries.front().size;
    std::uint32_t best = 0;
    std::pair<bool, std::size_t> best_rank{false, 0};
    for (const auto& e : entries) {
        const bool named = std::ranges::any_of(references, [&](const reference& r) { return r.size == e.size; });
        const auto devices = std::ranges::count_if(entries, [&](const entry& o) { return o.size == e.size; });
        const std::pair rank{named, static_cast<std::size_t>(devices)};
        if (rank > best_rank || (rank == best_rank && e.size > best)) {
            best_rank = rank;
            best = e.size;
        }
    }
    return references.empty() || best_rank.first ? best : references.front().size;
}

void shard_planner::want(std::span<const entry> entries, std::uint32_t size, std::span<const reference> references,
                         std::span<std::uint32_t> desired) const {
    const auto raise = [&](std::size_t c, std::uint32_t copies) {
        desired[c] = std::max(desired[c], std::min(copies, desired_max_));
    };
    for (const auto& r : references) {
        if (r.class_number != reference::by_rules) {
            raise(options_.reference_classes[r.class_number], r.copies);
            continue;
        }
        for (std::size_t c = 0; c < desired.size(); ++c) raise(c, options_.desired[c].value_or(0));
    }
    if (options_.by_references) return;
    if (same_for_all_ && references.empty()) {
        std::ranges::copy(*same_for_all_, desired.begin());
        return;
    }
    for (std::size_t c = 0; c < desired.size(); ++c) {
        std::int64_t held = 0;
        for (const auto& e : entries) {
            if (e.size == size && (classes_of_device_[e.mount] >> c & 1) != 0) held += replication_of_device_[e.mount];
        }
        if (held > 0)
            raise(c,
                  options_.desired[c].value_or(static_cast<std::uint32_t>(std::min<std::int64_t>(held, desired_max_))));
    }
}

void shard_planner::add_block(const md5_digest& name, std::span<const entry> entries,
                              std::span<const reference> references, shard_plan& into) {
    if (!references.empty()) ++into.referenced_blocks;
    const auto size = size_of(entries, references);
    const auto copies_begin = copies_.size();
    for (const auto& e : entries) {
        copies_.emplace_back(e.mount, e.size != size, e.mtime);
        auto& device = into.devices[e.mount];
        ++device.copies;
        device.bytes += e.size;
        if (e.mtime > options_.now) ++into.counts.future_mtimes;
    }
    const auto row = desired_.size();
    desired_.resize(row + all_.classes.size());
    want(entries, size, references, std::span(desired_).subspan(row));
    batch_.emplace_back(block_id{name, size}, copies_begin, copies_.size());
    names_.push_back(name);
    if (batch_.size() == weights_.batch()) decide_batch(into);
}

void shard_planner::decide_batch(shard_plan& into) {
    if (batch_.empty()) return;
    weights_.compute(names_);
    for (std::size_t i = 0; i < batch_.size(); ++i) {
        const auto& p = batch_[i];
        decider_.decide({.server_weights = weights_.of_servers(i),
                         .mount_weights = weights_.of_mounts(i),
                         .copies = std::span(copies_).subspan(p.copies_begin, p.copies_end - p.copies_begin),
                         .desired = std::span(desired_).subspan(i * all_.classes.size(), all_.classes.size()),
                         .cutoff = options_.cutoff},
                        decision_);
        take(p.block, into);
    }
    batch_.clear();
    names_.clear();
    copies_.clear();
    desired_.clear();
}

void shard_planner::take(const block_id& block, shard_plan& into) const {
    const auto& d = decision_;
    into.counts.count(d, block.size);
    if (d.lost) into.lost.push_back(block);
    for (const auto& change : d.pulls) {
        if (change.why == pull_reason::position && !options_.moves) continue;
        const auto target = all_.mounts[change.mount].server;
        auto& list = into.servers[target].pulls;
        planned_pull p;
        p.why = change.why;
        if (!list.wants(p)) continue;  // Decided by its urgency: the rest need not be there.
        p.block = block;
        p.mount = change.mount;
        for (const auto s : d.sources) {
            // A server pulls from itself only if there is no other one.
            if ((s == target && d.sources.size() > 1) || p.source_count == p.sources.size()) continue;
            p.sources[p.source_count++] = s;
        }
        list.offer(p);
    }
    for (const auto& change : d.trashes) {
        const auto& m = all_.mounts[change.mount];
        auto& device = into.devices[m.device];
        ++device.trash_copies;
        device.trash_bytes += block.size;
        into.servers[m.server].trashes.offer(
            {.block = block, .mount = change.mount, .proven_by = d.proven_by, .mtime = change.mtime});
    }
}

}  // namespace keepstore::keepctl::balance
