/// Plans shards on threads of its own while the next one is listed:
///
///     next() ──► a place for listings ──► (listing) ──► begin() ──► sort, plan ──► join, oldest first
///        ▲                                              on a thread                     │
///        └───────────────────────── the place is free again ◄──────────────────────────┘
///
/// A shard is joined to the plan after those that were begun before it, so that the plan depends neither on the number
/// of threads nor on which is faster. One shard more than there are threads is in memory: the one that is listed.
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

    /// Waits until there is a place. \returns the listings to fill, one for each device, with what they held before;
    /// nothing: cancelled. Until begin() it returns the same ones.
    [[nodiscard]] awaitable<std::vector<std::vector<entry>>*> next();
    /// Plans what was listed in the place of the last next().
    void begin(std::string prefix);
    /// Waits until all are joined. \returns false when cancelled. Rethrows what planning has thrown, as next() does.
    [[nodiscard]] awaitable<bool> finish();

    /// CPU time of merging and deciding; of those that have been joined.
    [[nodiscard]] std::chrono::nanoseconds decide_time() const noexcept { return decide_time_; }

  private:
    struct work;
    [[nodiscard]] awaitable<bool> join_oldest();
    void plan(work& w) const;

    const cluster& all_;
    planner& plan_;
    const reference_spool* const spool_;
    const joined_function joined_;
    std::vector<std::unique_ptr<work>> works_;
    std::deque<work*> free_;         // The first one is being listed.
    std::deque<work*> in_progress_;  // The oldest one first.
    std::chrono::nanoseconds decide_time_{0};
    asio::thread_pool threads_;  // The last one: they end before what they work with does.
};

}  // namespace keepstore::keepctl::balance
