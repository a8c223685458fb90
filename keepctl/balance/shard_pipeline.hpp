/// Plans shards on threads of its own while the next one is listed:
///
///     next() ──► a place for listings ──► (listing) ──► begin() ──► sort, plan ──► join, oldest first
///        ▲                                              on a thread                     │
///        └───────────────────────── the place is free again ◄──────────────────────────┘
///
/// A shard is joined to the plan after those that were begun before it, so that the plan depends neither on the number
/// of threads nor on which is faster. There are places for a shard on each thread, and for
/// limits::balance_shards_listed_max that are listed.
///
/// Used from the one event loop of the tool. Cancelled waits leave shards on the threads; the destructor waits for
/// these, which takes milliseconds.
#pragma once

#include "base/async.hpp"
#include "keepctl/balance/planner.hpp"

#include <boost/asio/thread_pool.hpp>

#include <chrono>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace keepstore::keepctl::balance {

class shard_pipeline {
  public:
    /// Called on the event loop for each shard, in the order of begin(): whether its references could be read. If so,
    /// it has been joined.
    using joined_function = std::function<void(result<void>)>;

    /// What it refers to outlives it. `spool`: nothing if every block is wanted.
    shard_pipeline(const cluster& all, planner& into, const reference_spool* spool, unsigned threads,
                   joined_function joined);
    ~shard_pipeline();
    shard_pipeline(const shard_pipeline&) = delete;
    shard_pipeline& operator=(const shard_pipeline&) = delete;

    /// The listings of a shard, one for each device.
    using listings = std::vector<std::vector<entry>>;

    /// Takes a place, and waits until there is one; not while another coroutine does. \returns the listings to fill,
    /// with what they held before; nothing: cancelled.
    [[nodiscard]] awaitable<listings*> next();
    /// Plans what was listed in a place of next().
    void begin(const listings* place, std::string prefix);
    /// Returns a place of next() in which nothing was listed.
    void give_back(const listings* place);
    /// Waits until all are joined. \returns false when cancelled. Rethrows what planning has thrown, as next() does.
    [[nodiscard]] awaitable<bool> finish();

    /// CPU time of merging and deciding; of those that have been joined.
    [[nodiscard]] std::chrono::nanoseconds decide_time() const noexcept { return decide_time_; }

  private:
    struct work;
    [[nodiscard]] awaitable<bool> join_oldest();
    [[nodiscard]] work* find(const listings* place) const;
    void plan(work& w) const;

    const cluster& all_;
    planner& plan_;
    const reference_spool* const spool_;
    const joined_function joined_;
    std::vector<std::unique_ptr<work>> works_;
    std::deque<work*> free_;
    std::deque<work*> in_progress_;  // The oldest one first.
    std::chrono::nanoseconds decide_time_{0};
    asio::thread_pool threads_;  // The last one: they end before what they work with does.
};

}  // namespace keepstore::keepctl::balance
