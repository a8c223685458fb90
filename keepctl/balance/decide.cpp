#include "keepctl/balance/decide.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace keepstore::keepctl::balance {
namespace {

// Of a sorting key: a slot's number, and from there on what it is sorted by.
constexpr unsigned slot_bits = 16;
constexpr unsigned copy_bit = 16;
constexpr unsigned rank_shift = 17;
constexpr unsigned keep_bit = 33;

// So few servers are ranked by comparing each with each.
constexpr std::size_t counted_max = 12;

/// The first half of a weight as a number, in the same order: two hardly ever have it in common.
std::uint64_t head_of(const md5_digest& weight) noexcept {
    static_assert(std::endian::native == std::endian::little);
    std::uint64_t out;
    std::memcpy(&out, weight.bytes.data(), sizeof out);
    return __builtin_bswap64(out);
}

constexpr std::uint64_t bit(bool set, unsigned position) noexcept {
    return static_cast<std::uint64_t>(set) << position;
}

}  // namespace

decider::decider(const cluster& all)
    : all_(all),
      order_(all.servers.size()),
      copy_on_(all.devices.size()),
      has_copy_(all.devices.size()),
      slots_(all.mounts.size()),
      keys_(all.mounts.size()),
      server_used_(all.servers.size()),
      device_chosen_(all.devices.size()),
      device_shielded_(all.devices.size()),
      device_seen_(all.devices.size()),
      mounts_of_(all.servers.size()),
      held_(all.classes.size()),
      mount_of_device_(all.devices.size()) {
    std::vector<std::size_t> mounts_of_device(all.devices.size());
    for (std::size_t i = 0; i < all.mounts.size(); ++i) {
        mounts_of_[all.mounts[i].server].push_back(static_cast<std::uint16_t>(i));
        if (++mounts_of_device[all.mounts[i].device] > 1) devices_are_shared_ = true;
        mount_of_device_[all.mounts[i].device] = static_cast<std::uint16_t>(i);
    }
    const auto counts_once = [](const mount& m) { return m.replication == 1; };
    is_small_ = !all.mounts.empty() && all.mounts.size() <= small_mounts_max &&
                std::ranges::all_of(all.mounts, counts_once) &&
                std::ranges::all_of(mounts_of_device, [](std::size_t n) { return n == 1; });
    if (!is_small_) return;
    all_slots_ = ((std::uint64_t{1} << (all.mounts.size() - 1)) << 1) - 1;
    one_mount_each_ = std::ranges::all_of(mounts_of_, [](const auto& mounts) { return mounts.size() == 1; });
    for (std::size_t i = 0; one_mount_each_ && i < all.servers.size(); ++i) {
        only_mount_of_.push_back(mounts_of_[i].front());
        small_.of_server[i] = std::uint64_t{1} << i;
    }
    offered_everywhere_ = ~class_bits{0};
    for (std::size_t i = 0; i < all.mounts.size(); ++i) {
        writable_ |= bit(all.mounts[i].allow_write, static_cast<unsigned>(i));
        offered_everywhere_ &= all.mounts[i].classes;
    }
}

void decider::decide(const block_input& block, decision& out) {
    out.pulls.clear();
    out.trashes.clear();
    out.sources.clear();
    out.proven_by = decision::no_proof;
    out.lost = out.under = out.conflict = out.misplaced = out.has_new = false;
    out.total = {};
    out.classes.resize(all_.classes.size());
    std::ranges::fill(out.classes, device_counts{});
    for (const auto& c : block.copies) {
        if (c.conflict) out.conflict = true;
        if (c.mtime >= block.cutoff) out.has_new = true;
    }
    if (!is_small_ || !decide_small(block, out)) decide_any(block, out);
}

void decider::decide_any(const block_input& block, decision& out) {
    has_copy_.clear();
    for (const auto& c : block.copies) {
        copy_on_[c.device] = &c;
        has_copy_.insert(c.device);
    }
    rank_servers(block);
    make_slots(block);
    unsafe_.clear();
    under_classes_ = 0;
    desired_most_ = 0;
    for (std::size_t c = 0; c < block.desired.size(); ++c) {
        if (block.desired[c] > 0) choose(c, block.desired[c], out);
    }
    keep_unsafe(out);
    count(block, out);
    emit(block, out);
}

void decider::rank_servers(const block_input& block) {
    const std::size_t count = order_.size();
    if (count <= counted_max) {
        // A server's rank is the number of those that come before it. Comparisons of random numbers are added, since
        // half of the branches of a sort would be predicted wrong.
        std::array<std::uint64_t, counted_max> heads;
        for (std::size_t i = 0; i < count; ++i) heads[i] = head_of(block.server_weights[i]);
        std::size_t sum = 0;
        for (std::size_t i = 0; i < count; ++i) {
            std::size_t rank = 0;
            for (std::size_t j = 0; j < count; ++j) rank += static_cast<std::size_t>(heads[j] > heads[i]);
            order_[rank] = {heads[i], static_cast<std::uint16_t>(i)};
            sum += rank;
        }
        if (sum == count * (count - 1) / 2) return;  // Else two are equal.
    }
    for (std::size_t i = 0; i < count; ++i)
        order_[i] = {head_of(block.server_weights[i]), static_cast<std::uint16_t>(i)};
    std::ranges::sort(order_, [&](const weighed& a, const weighed& b) {
        if (a.head != b.head) return a.head > b.head;
        const auto& x = block.server_weights[a.server];
        const auto& y = block.server_weights[b.server];
        return x != y ? x > y : a.server < b.server;
    });
}

void decider::make_slots(const block_input& block) {
    std::size_t next = 0;
    for (std::size_t rank = 0; rank < order_.size(); ++rank) {
        const auto begin = next;
        for (const auto i : mounts_of_[order_[rank].server])
            slots_[next++] = {.mount = i, .rank = static_cast<std::uint16_t>(rank)};
        if (next - begin < 2) continue;
        std::ranges::sort(std::span(slots_).subspan(begin, next - begin), [&](const slot& a, const slot& b) {
            const auto& x = block.mount_weights[a.mount];
            const auto& y = block.mount_weights[b.mount];
            return x != y ? x < y : a.mount < b.mount;
        });
    }
    device_seen_.clear();
    found_.clear();
    have_ = 0;
    copies_ = 0;
    for (std::size_t i = 0; i < slots_.size(); ++i) {
        auto& s = slots_[i];
        const auto& m = mount_of(s);
        if (!has_copy_.contains(m.device)) continue;
        const copy* const on_device = copy_on_[m.device];
        if (on_device->conflict) {
            s.conflict = true;
            continue;
        }
        s.found = on_device;
        s.keep = !m.allow_trash;
        found_.push_back(static_cast<std::uint16_t>(i));
        if (device_seen_.contains(m.device)) continue;
        device_seen_.insert(m.device);
        have_ += m.replication;
        ++copies_;
    }
}

void decider::choose(std::size_t class_number, std::int64_t desired, decision& out) {
    const class_bits wanted = class_bits{1} << class_number;
    bool sorted = true;  // Mostly, since slots are by rank.
    for (std::size_t i = 0; i < slots_.size(); ++i) {
        const auto& s = slots_[i];
        keys_[i] = bit(!s.keep, keep_bit) | static_cast<std::uint64_t>(s.rank) << rank_shift |
                   bit(s.found == nullptr, copy_bit) | i;
        if (i > 0 && keys_[i] < keys_[i - 1]) sorted = false;
    }
    if (!sorted) std::ranges::sort(keys_);
    server_used_.clear();
    device_chosen_.clear();
    device_shielded_.clear();
    sums so_far{.desired = desired};
    for (const bool offering : {true, false}) {
        for (const bool distinct_servers : {true, false}) {
            if (!so_far.full()) try_slots(wanted, offering, distinct_servers, so_far);
        }
    }

    device_seen_.clear();
    std::int64_t have = 0;
    for (const auto i : found_) {
        const auto& m = mount_of(slots_[i]);
        if ((m.classes & wanted) == 0 || device_seen_.contains(m.device)) continue;
        device_seen_.insert(m.device);
        have += m.replication;
    }
    desired_most_ = std::max(desired_most_, desired);
    if (have >= desired) return;
    under_classes_ |= wanted;
    out.under = true;
}

void decider::try_slots(class_bits wanted, bool offering, bool distinct_servers, sums& s) {
    for (const auto key : keys_) {
        if (s.full()) return;
        auto& each = slots_[key & ((std::uint64_t{1} << slot_bits) - 1)];
        const auto& m = mount_of(each);
        if (((m.classes & wanted) != 0) != offering) continue;
        if (distinct_servers && server_used_.contains(m.server)) continue;
        try_slot(each, wanted, s);
    }
}

void decider::try_slot(slot& s, class_bits wanted, sums& so_far) {
    const auto& m = mount_of(s);
    if (device_chosen_.contains(m.device)) return;
    // A copy that is chosen is protected as well: the sum of those chosen is never below that of those protected.
    if (so_far.shielded < so_far.desired && s.found && !device_shielded_.contains(m.device)) {
        unsafe_.push_back(s.found->mtime);
        device_shielded_.insert(m.device);
        so_far.shielded += m.replication;
    }
    if (so_far.chosen < so_far.desired && (s.found || m.allow_write)) {
        s.keep = true;
        s.chosen_for |= wanted;
        server_used_.insert(m.server);
        device_chosen_.insert(m.device);
        so_far.chosen += m.replication;
    }
}

bool decider::is_unsafe(std::int64_t mtime) const {
    return std::ranges::find(unsafe_, mtime) != unsafe_.end();
}

void decider::keep_unsafe(const decision& out) {
    // Sizes that disagree mean that a copy is bad, and not known which one.
    const bool all = out.under || out.conflict;
    for (const auto i : found_) {
        auto& s = slots_[i];
        if (all || is_unsafe(s.found->mtime)) s.keep = true;
    }
}

void decider::count(const block_input& block, decision& out) {
    const auto wanted_in = [&](std::size_t c) {
        return c < block.desired.size() ? std::int64_t{block.desired[c]} : std::int64_t{0};
    };
    if (devices_are_shared_) {
        count_shared(0, 0, out.total);
        for (std::size_t c = 0; c < out.classes.size(); ++c)
            count_shared(class_bits{1} << c, wanted_in(c), out.classes[c]);
        return;
    }
    std::ranges::fill(held_, std::int64_t{0});
    for (const auto& s : slots_) {
        if (!s.found && (!s.keep || copies_ == 0)) continue;
        const auto field = !s.found ? &device_counts::pulling
                           : s.keep ? &device_counts::needed
                                    : &device_counts::unneeded;
        const auto& m = mount_of(s);
        ++(out.total.*field);
        for (auto rest = m.classes; rest != 0; rest &= rest - 1) {
            const auto c = static_cast<std::size_t>(std::countr_zero(rest));
            ++(out.classes[c].*field);
            held_[c] += m.replication;
        }
    }
    for (std::size_t c = 0; c < out.classes.size(); ++c) out.classes[c].unachievable = held_[c] < wanted_in(c);
}

// A device with several mounts counts once, by the best of them: kept slots come first.
void decider::count_shared(class_bits wanted, std::int64_t desired, device_counts& into) {
    std::int64_t sum = 0;
    device_seen_.clear();
    for (const bool kept : {true, false}) {
        for (const auto& s : slots_) {
            const auto& m = mount_of(s);
            if (wanted != 0 && (m.classes & wanted) == 0) continue;
            if (s.keep != kept || device_seen_.contains(m.device)) continue;
            if (s.found)
                ++(kept ? into.needed : into.unneeded);
            else if (kept && copies_ > 0)
                ++into.pulling;
            else
                continue;
            device_seen_.insert(m.device);
            sum += m.replication;
        }
    }
    into.unachievable = sum < desired;
}

pull_reason decider::reason_of(const slot& s) const {
    if ((s.chosen_for & under_classes_) == 0) return s.conflict ? pull_reason::size_conflict : pull_reason::position;
    if (have_ >= desired_most_) return pull_reason::storage_class;
    return copies_ == 1 ? pull_reason::last_copy : pull_reason::under_replicated;
}

void decider::emit(const block_input& block, decision& out) {
    out.lost = copies_ == 0 && desired_most_ > 0;
    server_used_.clear();
    device_seen_.clear();
    for (const auto& s : slots_) {
        if (!s.found && !s.keep && !s.conflict) continue;
        const auto& m = mount_of(s);
        if (s.found) {
            if (!server_used_.contains(m.server)) out.sources.push_back(m.server);
            server_used_.insert(m.server);
            const bool once =
                std::ranges::none_of(out.trashes, [&](const trash_change& t) { return t.mtime == s.found->mtime; });
            if (!s.keep && m.allow_trash && s.found->mtime < block.cutoff && once)
                out.trashes.push_back({.mount = s.mount, .mtime = s.found->mtime});
            continue;
        }
        if (copies_ == 0 || !m.allow_write || device_seen_.contains(m.device)) continue;
        device_seen_.insert(m.device);
        out.pulls.push_back({.mount = s.mount, .why = reason_of(s)});
        if (out.pulls.back().why == pull_reason::position) out.misplaced = true;
    }
    if (!out.trashes.empty()) choose_proof(out);
}

void decider::choose_proof(decision& out) {
    server_used_.clear();
    for (const auto& t : out.trashes) server_used_.insert(all_.mounts[t.mount].server);
    for (const auto i : found_) {
        const auto& s = slots_[i];
        if (!s.keep) continue;
        out.proven_by = decision::cannot_prove;
        if (server_used_.contains(mount_of(s).server)) continue;
        out.proven_by = mount_of(s).server;
        return;
    }
}

}  // namespace keepstore::keepctl::balance
