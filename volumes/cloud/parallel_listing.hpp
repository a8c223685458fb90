/// The index of a bucket: merges the listings of blocks and markers by key, as one range if a page is enough and else
/// by their next hex digit in parallel. Pages wait for the reader in a short queue; nothing else is kept.
#pragma once

#include "base/async_queue.hpp"
#include "volumes/cloud/limits.hpp"
#include "volumes/s3/s3_core.hpp"

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace keepstore::volumes::s3 {

class index_scan : public std::enable_shared_from_this<index_scan> {
  public:
    /// \param digits  lower-case hex, at most 32.
    /// \param parallel  false: one listing after the other, for comparison.
    index_scan(std::shared_ptr<s3_core> core, std::string digits, deadline until, bool parallel = true);

    /// Begins listing.
    void start();
    /// Returns the next blocks, in any order; empty at the end. An error: the listing is incomplete.
    [[nodiscard]] awaitable<result<std::vector<block_info>>> next();
    /// Cancels the tasks. Called by the last owner outside of them.
    void stop();

  private:
    class lister;

    static awaitable<result<bool>> survey(std::shared_ptr<index_scan> self);
    static awaitable<result<bool>> work(std::shared_ptr<index_scan> self);
    [[nodiscard]] awaitable<result<void>> list_range(std::string digits);
    [[nodiscard]] awaitable<result<void>> put(std::vector<block_info> batch);
    [[nodiscard]] result<std::vector<block_info>> outcome(error why);
    void spawn(awaitable<result<bool>> task);
    void ended(const result<bool>& outcome);

    const std::shared_ptr<s3_core> core_;
    const std::string digits_;
    const deadline until_;
    const bool parallel_;

    async_queue<std::vector<block_info>> queue_{limits::s3_index_pages_queued_max};  ///< Closed when listing has ended.

    std::mutex mutex_;
    // Guarded by mutex_.
    std::vector<std::shared_ptr<loop_task>> tasks_;
    std::deque<std::string> ranges_;  ///< Digits of the ranges that no worker has taken yet.
    unsigned running_ = 0;            ///< Tasks.
    bool stopped_ = false;
    std::optional<error> failed_;
};

}  // namespace keepstore::volumes::s3
