/// What one shard adds to a plan, and what a plan is made of. Values.
#pragma once

#include "keepctl/balance/decide.hpp"
#include "keepctl/balance/limited_list.hpp"
#include "keepctl/balance/limits.hpp"
#include "keepctl/balance/tally.hpp"
#include "keepctl/cluster/entry.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace keepstore::keepctl::balance {

struct planned_pull {
    block_id block;
    std::uint16_t mount = 0;
    pull_reason why{};
    std::uint8_t source_count = 0;
    std::array<std::uint16_t, limits::balance_sources_max> sources{};  ///< Servers.
};

struct planned_trash {
    block_id block;
    std::uint16_t mount = 0;
    std::uint16_t proven_by = decision::no_proof;  ///< A server, or what a decision says instead.
    std::int64_t mtime = 0;
};

struct more_urgent {
    [[nodiscard]] bool operator()(const planned_pull& a, const planned_pull& b) const { return a.why < b.why; }
    [[nodiscard]] bool operator()(const planned_trash& a, const planned_trash& b) const { return a.mtime < b.mtime; }
};

/// For one server.
struct server_plan {
    limited_list<planned_pull, more_urgent> pulls;
    limited_list<planned_trash, more_urgent> trashes;
};

/// What a device holds, and would lose.
struct device_totals {
    std::uint64_t copies = 0;
    std::uint64_t bytes = 0;
    std::uint64_t trash_copies = 0;
    std::uint64_t trash_bytes = 0;

    void add(const device_totals& other) {
        copies += other.copies;
        bytes += other.bytes;
        trash_copies += other.trash_copies;
        trash_bytes += other.trash_bytes;
    }
};

struct shard_plan {
    std::vector<server_plan> servers = {};
    std::vector<device_totals> devices = {};
    tally counts = {};
    std::vector<block_id> lost = {};  ///< Wanted, and no copy.
    std::uint64_t referenced_blocks = 0;
};

}  // namespace keepstore::keepctl::balance
