/// Carries out pull lists (docs/interface.md 5.1, 8.3): fetches blocks from the servers that the list names and stores
/// them on the mount that it names. Nothing becomes visible before the digest of the whole block agrees with its name.
/// Safe to use from any thread.
#pragma once

#include "base/counter.hpp"
#include "net/limits.hpp"
#include "pool/lease_pool.hpp"
#include "protocol/block_fetch.hpp"
#include "protocol/host_rules.hpp"
#include "protocol/work_lists.hpp"
#include "store/block_store.hpp"
#include "store/limits.hpp"
#include "store/lists/work_queue.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::store {

struct pull_options {
    unsigned workers = 1;  ///< Collections.BlobReplicateConcurrency: how often run() is called.
    protocol::host_rules hosts = {};
    /// Stricter than for clients: another server may have the block, and a silent one holds up a worker.
    net::phase_limits timing = {.connect = limits::net_connect_timeout,
                                .first_byte = limits::pull_silence_max,
                                .progress = limits::pull_silence_max};
    /// A server that sends fewer bytes per second than this, averaged over a window of waiting for it, is left, too.
    std::size_t rate_bytes_min = limits::pull_rate_bytes_min;
    std::chrono::steady_clock::duration rate_window = limits::pull_rate_window;
    /// One block from one server, and the time within which servers are asked again for an item.
    std::chrono::steady_clock::duration attempt_timeout = limits::pull_attempt_timeout;
    std::chrono::steady_clock::duration item_timeout = limits::pull_item_timeout;
};

struct pull_counters : counter_set {
    static constexpr std::string_view items_help = "Items of pull lists that were worked on, by what became of them.";

    counter pulled{*this, "keepstore_pull_items_total", items_help, {"outcome", "pulled"}};
    counter present{*this, "keepstore_pull_items_total", items_help, {"outcome", "present"}};
    counter failed{*this, "keepstore_pull_items_total", items_help, {"outcome", "failed"}};
    counter bytes{*this, "keepstore_pull_bytes_total", "Bytes of blocks pulled and stored."};
    counter bad_blocks{*this, "keepstore_pull_bad_blocks_total", "Times that a server sent wrong bytes."};
};

class pull_worker {
  public:
    /// Both must outlive it. The client refuses link-local addresses.
    pull_worker(store_context&, const net::client&, pull_options);

    /// Executes the items of the queue, one after the other, until it is cancelled. To be spawned. The item in progress
    /// is finished when a new list replaces the queue.
    [[nodiscard]] awaitable<void> run(work_queue<protocol::pull_item>& queue);

    /// Executes one item; its outcome is logged and counted. To be spawned or awaited.
    [[nodiscard]] awaitable<void> execute(protocol::pull_item item);

    [[nodiscard]] const pull_counters& counters() const noexcept { return counters_; }
    /// Block memory of pulls in progress.
    [[nodiscard]] pool::buffer_pool::stats memory() const { return pool_.snapshot(); }

  private:
    struct source {
        std::string name;  ///< For the log.
        protocol::block_server where;
    };
    struct failure {
        error why;
        bool ours;  ///< The volume failed: no other server is tried.
    };

    std::vector<source> sources_of(const protocol::pull_item&, const protocol::locator&) const;
    awaitable<bool> is_present(const mount&, const protocol::locator&, pool::chunk_source& memory);
    awaitable<std::optional<failure>> fetch(const source&, const mount&, const protocol::locator&,
                                            pool::chunk_source& memory);
    awaitable<std::optional<failure>> store(protocol::incoming_block, const mount&, const protocol::locator&,
                                            pool::chunk_source& memory, deadline until);

    store_context& store_;
    const net::client& client_;
    const pull_options options_;
    // The locators that we sign need some token. A random one: the servers must not learn one that is good for
    // anything.
    const std::string token_;
    // In addition to the budget of requests, so that neither pulls nor clients wait for the other's memory.
    pool::lease_pool pool_;
    pull_counters counters_;
};

}  // namespace keepstore::store
