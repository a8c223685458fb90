/// The decisions that nearly all blocks need: in a cluster of up to 64 mounts that share no device and count as one
/// replica each, a block that is wanted in one class at most, and of which all copies have one size and may be trashed.
/// Sets of slots are the bits of a word then, and counts are numbers of bits. The rules are those of decide.hpp, and
/// so are the decisions: balance_model_test.cpp compares them with those of the general way.
#include "keepctl/balance/decide.hpp"

#include <algorithm>
#include <bit>

namespace keepstore::keepctl::balance {
namespace {

std::uint32_t count_of(std::uint64_t slots) noexcept {
    return static_cast<std::uint32_t>(std::popcount(slots));
}

std::uint64_t bit_of(std::size_t slot) noexcept {
    return std::uint64_t{1} << slot;
}

/// The first `count` slots of a set, or all.
std::uint64_t first_of(std::uint64_t slots, std::uint32_t count) noexcept {
    auto rest = slots;
    for (; count > 0 && rest != 0; --count) rest &= rest - 1;
    return slots & ~rest;
}

/// Calls `visit` with each slot of a set, in order, until it returns false.
template <class Visit>
void each_of(std::uint64_t slots, Visit visit) {
    for (; slots != 0; slots &= slots - 1) {
        if (!visit(static_cast<std::size_t>(std::countr_zero(slots)))) return;
    }
}

}  // namespace

bool decider::decide_small(const block_input& block, decision& out) {
    constexpr std::size_t none = ~std::size_t{0};
    std::size_t class_number = none;
    for (std::size_t c = 0; c < block.desired.size(); ++c) {
        if (block.desired[c] == 0) continue;
        if (class_number != none) return false;
        class_number = c;
    }
    for (const auto& c : block.copies) {
        if (c.conflict || !all_.mounts[mount_of_device_[c.device]].allow_trash) return false;
    }
    rank_servers(block);
    place_small(block);
    small_choice choice;
    if (class_number != none) choice = choose_small(class_number, block.desired[class_number]);
    out.lost = choice.desired > 0 && small_.has == 0;
    out.under = choice.under;
    count_small(choice, block, out);
    if (small_.has != 0 && (choice.kept ^ small_.has) != 0) emit_small(choice, block, out);
    return true;
}

// In the order in which slots are tried: by rank of the server, those with a copy first, by weight of the mount.
void decider::place_small(const block_input& block) {
    std::uint64_t has = 0;  // By mount.
    for (const auto& c : block.copies) {
        const auto number = mount_of_device_[c.device];
        has |= bit_of(number);
        copy_on_[number] = &c;
    }
    small_.has = small_.writable = 0;
    std::size_t next = 0;
    if (one_mount_each_) {  // of_server is as it was made.
        for (const auto& ranked : order_) {
            const auto number = only_mount_of_[ranked.server];
            small_.has |= (has >> number & 1) << next;
            small_.writable |= (writable_ >> number & 1) << next;
            small_.mounts[next++] = number;
        }
        return;
    }
    for (const auto& ranked : order_) {
        auto& mounts = mounts_of_[ranked.server];
        if (mounts.empty()) continue;
        if (mounts.size() > 1) {
            std::ranges::sort(mounts, [&](std::uint16_t a, std::uint16_t b) {
                if (((has >> a ^ has >> b) & 1) != 0) return (has >> a & 1) != 0;
                const auto& x = block.mount_weights[a];
                const auto& y = block.mount_weights[b];
                return x != y ? x < y : a < b;
            });
        }
        const auto of_server = ((bit_of(mounts.size() - 1) << 1) - 1) << next;
        for (const auto number : mounts) {
            small_.has |= (has >> number & 1) << next;
            small_.writable |= (writable_ >> number & 1) << next;
            small_.mounts[next] = number;
            small_.of_server[next] = of_server;
            ++next;
        }
    }
}

std::uint64_t decider::offering_small(std::size_t class_number) const {
    if ((offered_everywhere_ >> class_number & 1) != 0) return all_slots_;
    std::uint64_t out = 0;
    for (std::size_t i = 0; i < all_.mounts.size(); ++i)
        out |= (all_.mounts[small_.mounts[i]].classes >> class_number & 1) << i;
    return out;
}

decider::small_choice decider::choose_small(std::size_t class_number, std::uint32_t desired) const {
    const auto has = small_.has;
    const auto usable = has | small_.writable;
    const auto offering = offering_small(class_number);
    small_choice out{.desired = desired, .under = count_of(has & offering) < desired};
    std::uint64_t shielded = 0;
    if (one_mount_each_ && offering == all_slots_ && usable == all_slots_) {  // Mostly: nothing is passed over.
        out.kept = first_of(all_slots_, desired);
        shielded = first_of(has, desired);
    } else {
        choose_passing_over(offering, out, shielded);
    }
    if (out.under) {
        out.kept |= has;
        return out;
    }
    each_of(has & ~out.kept, [&](std::size_t slot) {
        each_of(shielded, [&](std::size_t other) {
            if (mtime_of(slot) == mtime_of(other)) out.kept |= bit_of(slot);
            return true;
        });
        return true;
    });
    return out;
}

// Servers that are used already, and slots that have no copy and take none.
void decider::choose_passing_over(std::uint64_t offering, small_choice& out, std::uint64_t& shielded) const {
    const auto has = small_.has;
    const auto usable = has | small_.writable;
    std::uint64_t used = 0;  // All slots of the servers that are chosen.
    std::uint32_t to_choose = out.desired;
    std::uint32_t to_shield = out.desired;
    const auto take = [&](std::uint64_t candidates, bool distinct_servers) {
        if (to_shield == 0) return;  // What is chosen is never less than what is protected.
        each_of(candidates & usable, [&](std::size_t slot) {
            const auto bit = bit_of(slot);
            if (((distinct_servers ? used : out.kept) & bit) != 0) return true;
            if ((has & ~shielded & bit) != 0 && to_shield > 0) {
                shielded |= bit;
                --to_shield;
            }
            if (to_choose > 0) {
                out.kept |= bit;
                used |= small_.of_server[slot];
                --to_choose;
            }
            return to_choose > 0 || to_shield > 0;
        });
    };
    for (const auto candidates : {offering, ~offering}) {
        for (const bool distinct_servers : {true, false}) take(candidates, distinct_servers);
    }
}

void decider::count_small(const small_choice& choice, const block_input& block, decision& out) const {
    const auto needed = small_.has & choice.kept;
    const auto pulling = small_.has != 0 ? choice.kept & ~small_.has : 0;
    out.total.needed = count_of(needed);
    out.total.unneeded = static_cast<std::uint32_t>(block.copies.size()) - out.total.needed;
    out.total.pulling = count_of(pulling);
    for (std::size_t c = 0; c < out.classes.size(); ++c) {
        auto& found = out.classes[c];
        found = out.total;
        if (const auto offering = offering_small(c); offering != all_slots_) {
            found.needed = count_of(needed & offering);
            found.unneeded = count_of(small_.has & ~choice.kept & offering);
            found.pulling = count_of(pulling & offering);
        }
        const auto desired = c < block.desired.size() ? block.desired[c] : 0;
        found.unachievable = found.needed + found.unneeded + found.pulling < desired;
    }
}

void decider::emit_small(const small_choice& choice, const block_input& block, decision& out) {
    const auto copies = count_of(small_.has);
    const auto why = !choice.under              ? pull_reason::position
                     : copies >= choice.desired ? pull_reason::storage_class
                     : copies == 1              ? pull_reason::last_copy
                                                : pull_reason::under_replicated;
    std::uint64_t used = 0;
    each_of(small_.has, [&](std::size_t slot) {
        if ((used & bit_of(slot)) == 0) out.sources.push_back(all_.mounts[small_.mounts[slot]].server);
        used |= small_.of_server[slot];
        return true;
    });
    each_of(choice.kept & ~small_.has & small_.writable, [&](std::size_t slot) {
        out.pulls.emplace_back(small_.mounts[slot], why);
        out.misplaced = out.misplaced || why == pull_reason::position;
        return true;
    });
    std::uint64_t trashing = 0;  // All slots of the servers that trash a copy.
    each_of(small_.has & ~choice.kept, [&](std::size_t slot) {
        const auto mtime = mtime_of(slot);
        const bool once = std::ranges::none_of(out.trashes, [&](const trash_change& t) { return t.mtime == mtime; });
        if (mtime >= block.cutoff || !once) return true;
        out.trashes.emplace_back(small_.mounts[slot], mtime);
        trashing |= small_.of_server[slot];
        return true;
    });
    const auto kept = small_.has & choice.kept;
    if (out.trashes.empty() || kept == 0) return;
    out.proven_by = decision::cannot_prove;
    each_of(kept & ~trashing, [&](std::size_t slot) {
        out.proven_by = all_.mounts[small_.mounts[slot]].server;
        return false;
    });
}

}  // namespace keepstore::keepctl::balance
