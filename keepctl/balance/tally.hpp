/// Counts of blocks by state, as keep-balance reports them, and some more. A value type.
#pragma once

#include "keepctl/balance/decide.hpp"

#include <cstdint>
#include <vector>

namespace keepstore::keepctl::balance {

struct amount {
    std::uint64_t replicas = 0;
    std::uint64_t blocks = 0;
    std::uint64_t bytes = 0;

    void add(std::uint64_t copies, std::uint64_t size) {
        replicas += copies;
        ++blocks;
        bytes += copies * size;
    }
    void add(const amount& other) {
        replicas += other.replicas;
        blocks += other.blocks;
        bytes += other.bytes;
    }
};

struct class_usage {
    amount needed;
    amount unneeded;
    amount pulling;
    amount unachievable;
};

struct tally {
    amount lost;             ///< Wanted, and no copy. Counted with one replica.
    amount underreplicated;  ///< A copy is pulled, also for its position: as keep-balance counts.
    amount balanced;
    amount overreplicated;
    amount unreferenced;  ///< Not wanted, and new.
    amount garbage;       ///< Not wanted, and old.
    amount unachievable;  ///< In at least one class, with all mounts.
    amount desired;
    amount total;
    std::vector<class_usage> classes = {};
    std::vector<std::uint64_t> by_copies = {};  ///< Blocks with 0, 1, ... copies.
    std::uint64_t misplaced = 0;                ///< Blocks of which a copy is pulled for its position.
    std::uint64_t size_conflicts = 0;           ///< Blocks with copies of different sizes.
    std::uint64_t future_mtimes = 0;            ///< Copies from the future; they count as new.

    void count(const decision& d, std::uint32_t size);
    void add(const tally& other);
};

}  // namespace keepstore::keepctl::balance
