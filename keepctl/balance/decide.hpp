/// Which copies of one block are to be pulled and which may be trashed: the rules of keep-balance (docs/interface.md
/// 5.5; our differences are in docs/balance.md). Pure: the same input gives the same result, in whatever order servers,
/// mounts and copies come.
///
/// A slot is a mount. For each class, in ascending order of name, slots are sorted by
///
///     kept already | server's rank | has a copy | mount's weight
///
/// and taken in four passes: those that offer the class, no server twice; the rest of them; then the same for those
/// that do not offer it, so that a class without enough mounts is safe elsewhere. Two sums of replication grow until
/// they reach what is desired:
///
///     chosen      the slot has a copy, or can take one: it is kept, or pulled to
///     protected   the slot has a copy: no copy with its mtime is trashed, although better places are chosen, since
///     what
///                 is pulled there may not arrive
///
/// Whatever part of the changes is carried out, in whatever order, each class keeps at least as many copies on distinct
/// devices as are desired, or as there were: if a class has too few today, nothing is trashed, and else the protected
/// copies alone suffice.
#pragma once

#include "keepctl/balance/mark_set.hpp"
#include "keepctl/balance/weights.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace keepstore::keepctl::balance {

/// A copy on a device, whichever mounts show it.
struct copy {
    std::uint16_t device = 0;
    bool conflict =
        false;  ///< Of another size than the block's: no copy of it. Is never trashed, and may be pulled over.
    std::int64_t mtime = 0;  ///< Nanoseconds since 1970.
};

struct block_input {
    std::span<const md5_digest> server_weights;
    std::span<const md5_digest> mount_weights;
    std::span<const copy> copies;            ///< Each device once.
    std::span<const std::uint32_t> desired;  ///< Replication for each class; 0: not wanted there.
    std::int64_t cutoff = 0;                 ///< Copies with this mtime or a later one are not trashed.
};

/// Why a copy is pulled; the lower one is the more urgent one.
enum class pull_reason : std::uint8_t {
    last_copy,         ///< Too few copies, on one device only.
    under_replicated,  ///< Too few copies.
    storage_class,     ///< Enough copies, too few of a class.
    size_conflict,     ///< A copy of another size is there.
    position,          ///< Clients look there first.
};

struct pull_change {
    std::uint16_t mount = 0;
    pull_reason why{};
};

struct trash_change {
    std::uint16_t mount = 0;
    std::int64_t mtime = 0;
};

/// Devices of one class, or of all, as keep-balance counts them.
struct device_counts {
    std::uint32_t needed = 0;    ///< Have a copy that is kept.
    std::uint32_t unneeded = 0;  ///< Have one that is not.
    std::uint32_t pulling = 0;   ///< Get one.
    bool unachievable = false;   ///< Less than is desired even then.
};

struct decision {
    static constexpr std::uint16_t no_proof = 0xffff;      ///< For proven_by: no copy is kept, or none is trashed.
    static constexpr std::uint16_t cannot_prove = 0xfffe;  ///< For proven_by: each server that keeps one trashes one.

    std::vector<pull_change> pulls;
    std::vector<trash_change> trashes;
    /// The first server that has a kept copy, and none that is to be trashed: what it reads is what is kept.
    std::uint16_t proven_by = no_proof;
    /// Servers with a copy, in the order in which clients try them. All of them; a pull list takes some. May be left
    /// out if nothing is to be changed.
    std::vector<std::uint16_t> sources;
    bool lost = false;       ///< Wanted, and no copy anywhere.
    bool under = false;      ///< A class has less than desired today.
    bool conflict = false;   ///< Copies have different sizes.
    bool misplaced = false;  ///< A copy is pulled for its position.
    bool has_new = false;    ///< A copy is not older than the cutoff.
    device_counts total;
    std::vector<device_counts> classes;
};

/// Decides one block after the other; belongs to one thread. The cluster must outlive it.
class decider {
  public:
    explicit decider(const cluster& all);
    /// \param out  is emptied; passed in, so that its memory is used again.
    void decide(const block_input& block, decision& out);

  private:
    static constexpr std::size_t small_mounts_max = 64;

    struct slot {
        std::uint16_t mount = 0;
        std::uint16_t rank = 0;  // Of the server.
        const copy* found = nullptr;
        bool keep = false;
        bool conflict = false;
        class_bits chosen_for = 0;
    };
    struct sums {
        std::int64_t chosen = 0;
        std::int64_t shielded = 0;
        std::int64_t desired = 0;
        [[nodiscard]] bool full() const noexcept { return chosen >= desired && shielded >= desired; }
    };

    struct weighed {
        std::uint64_t head;  // Of its weight.
        std::uint16_t server;
    };

    /// Slots as bits, in the order in which they are tried.
    struct small_slots {
        std::uint64_t has = 0;  // A copy.
        std::uint64_t writable = 0;
        std::array<std::uint16_t, small_mounts_max> mounts{};
        std::array<std::uint64_t, small_mounts_max> of_server{};  // All slots of the server of this one.
    };
    struct small_choice {
        std::uint32_t desired = 0;
        bool under = false;
        std::uint64_t kept = 0;  // Slots.
    };

    void decide_any(const block_input& block, decision& out);
    /// decide_small.cpp. \returns false, and has done nothing, if the block is none of that kind.
    [[nodiscard]] bool decide_small(const block_input& block, decision& out);
    void place_small(const block_input& block);
    [[nodiscard]] std::uint64_t offering_small(std::size_t class_number) const;
    [[nodiscard]] small_choice choose_small(std::size_t class_number, std::uint32_t desired) const;
    void choose_passing_over(std::uint64_t offering, small_choice& out, std::uint64_t& shielded) const;
    void count_small(const small_choice& choice, const block_input& block, decision& out) const;
    void emit_small(const small_choice& choice, const block_input& block, decision& out);
    [[nodiscard]] std::int64_t mtime_of(std::size_t small_slot) const {
        return copy_on_[small_.mounts[small_slot]]->mtime;
    }

    void rank_servers(const block_input& block);
    void make_slots(const block_input& block);
    void choose(std::size_t class_number, std::int64_t desired, decision& out);
    void try_slots(class_bits wanted, bool offering, bool distinct_servers, sums& s);
    void try_slot(slot& s, class_bits wanted, sums& so_far);
    void keep_unsafe(const decision& out);
    void count(const block_input& block, decision& out);
    void count_shared(class_bits wanted, std::int64_t desired, device_counts& into);
    void emit(const block_input& block, decision& out);
    void choose_proof(decision& out);
    [[nodiscard]] pull_reason reason_of(const slot& s) const;
    [[nodiscard]] bool is_unsafe(std::int64_t mtime) const;
    [[nodiscard]] const mount& mount_of(const slot& s) const { return all_.mounts[s.mount]; }

    // A block costs what is done for it here, some ten million times: nothing is allocated, and what a step needs of
    // few slots (those with a copy, those that are chosen) is not looked for in all of them.
    const cluster& all_;
    std::vector<weighed> order_;        // Servers by rank.
    std::vector<const copy*> copy_on_;  // By device; of those in has_copy_.
    mark_set has_copy_;                 // Devices.
    std::vector<slot> slots_;           // By rank, then mount weight.
    std::vector<std::uint16_t> found_;  // Slots with a copy.
    std::vector<std::uint64_t> keys_;   // The order of slots for a class; the lowest bits are the slot's number.
    std::vector<std::int64_t> unsafe_;  // mtimes.
    mark_set server_used_;              // For the current class.
    mark_set device_chosen_;            // For the current class.
    mark_set device_shielded_;          // For the current class.
    mark_set device_seen_;
    std::vector<std::vector<std::uint16_t>> mounts_of_;  // For each server.
    std::vector<std::int64_t> held_;                     // For each class, while devices are counted.
    bool devices_are_shared_ = false;                    // By mounts.
    // For decide_small(), where each device is one mount, and copy_on_ is by mount.
    bool is_small_ = false;                       // The cluster.
    std::vector<std::uint16_t> mount_of_device_;  // The last one.
    std::uint64_t writable_ = 0;                  // Mounts.
    std::uint64_t all_slots_ = 0;
    bool one_mount_each_ = false;               // Each server.
    std::vector<std::uint16_t> only_mount_of_;  // Each server, in that case.
    class_bits offered_everywhere_ = 0;
    small_slots small_;
    class_bits under_classes_ = 0;
    std::int64_t have_ = 0;          // Replication of all copies.
    std::size_t copies_ = 0;         // Good ones.
    std::int64_t desired_most_ = 0;  // Of all classes.
};

}  // namespace keepstore::keepctl::balance
