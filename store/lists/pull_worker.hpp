/// Carries out pull lists (docs/interface.md 5.1, 8.3): fetches blocks from the servers that the list names and stores
/// them on the mount that it names. Nothing becomes visible before the digest of the whole block agrees with its name.
/// Safe to use from any thread.
#pragma once

#include "protocol/block_fetch.hpp"
#include "protocol/host_rules.hpp"
#include "protocol/work_lists.hpp"
#include "store/block_store.hpp"
#include "store/lists/work_queue.hpp"

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace keepstore::store {

struct pull_options {
    unsigned workers = 1;  ///< Collections.BlobReplicateConcurrency: how often run() is called.
    protocol::host_rules hosts = {};
    /// A server that stands still is left sooner than a client would be: there may be another one, and a worker is held
    /// up.
    net::phase_limits timing = {.connect = limits::net_connect_timeout,
                                .first_byte = limits::pull_silence_max,
                                .progress = limits::pull_silence_max};
    /// One that drips is left as well: below this, averaged over a window of waiting for it.
    std::size_t rate_bytes_min = limits::pull_rate_bytes_min;
    std::chrono::steady_clock::duration rate_window = limits::pull_rate_window;
};

class pull_worker {
  public:
    /// Both must outlive it. The client refuses link-local addresses.
    pull_worker(store_context&, const net::client&, pull_options);

    /// Works on items, one after the other, until cancelled. What is under way when a new list comes is finished.
    [[nodiscard]] awaitable<void> run(work_queue<protocol::pull_item>& queue);

    /// One item. What became of it is in the log.
    [[nodiscard]] awaitable<void> execute(protocol::pull_item item);

    struct stats {
        std::uint64_t pulled_total;      ///< Blocks fetched and stored.
        std::uint64_t present_total;     ///< Items whose block was there already, and good.
        std::uint64_t failed_total;      ///< Items that could not be carried out.
        std::uint64_t bytes_total;       ///< Of the blocks stored.
        std::uint64_t bad_blocks_total;  ///< Times that a server sent wrong bytes.
    };
    [[nodiscard]] stats snapshot() const noexcept;
    /// Held by blocks under way.
    [[nodiscard]] std::size_t memory_in_use() const;

  private:
    struct source {
        std::string name;  ///< For the log.
        protocol::block_server where;
    };
    struct failure {
        error why;
        bool ours;  ///< The volume's fault: another server would not help.
    };

    std::vector<source> sources_of(const protocol::pull_item&, const protocol::locator&) const;
    awaitable<bool> is_present(const mount&, const protocol::locator&);
    awaitable<std::optional<failure>> fetch(const source&, const mount&, const protocol::locator&);
    awaitable<std::optional<failure>> store(protocol::incoming_block&, const mount&, const protocol::locator&,
                                            deadline until);
    void note_failed() noexcept { failed_.fetch_add(1, std::memory_order_relaxed); }

    store_context& store_;
    const net::client& client_;
    const pull_options options_;
    // Signed locators need a token to be signed for. It opens nothing: a server that is asked learns no secret.
    const std::string token_;
    // Beside the budget of requests, so that pulls never wait for clients, nor clients for pulls.
    pool::buffer_pool pool_;
    std::atomic<std::uint64_t> pulled_{0};
    std::atomic<std::uint64_t> present_{0};
    std::atomic<std::uint64_t> failed_{0};
    std::atomic<std::uint64_t> bytes_{0};
    std::atomic<std::uint64_t> bad_blocks_{0};
};

}  // namespace keepstore::store
