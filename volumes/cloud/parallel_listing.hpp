/// Lists the blocks of a volume, as one range if a page is enough, and else by their next hex digit in parallel.
/// Batches wait for the reader in a short queue; nothing else is kept. How a range is listed is up to the service
/// (volume_core::list_range).
#pragma once

#include "base/async_queue.hpp"
#include "base/hex.hpp"
#include "volumes/cloud/limits.hpp"
#include "volumes/cloud/task_group.hpp"
#include "volumes/volume.hpp"

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::volumes::cloud {

class volume_core;

class parallel_listing final : public std::enable_shared_from_this<parallel_listing> {
  public:
    /// \param digits  lower-case hex, at most 32.
    parallel_listing(std::shared_ptr<volume_core> core, std::string digits, deadline until)
        : core_(std::move(core)), digits_(std::move(digits)), until_(until) {}
    parallel_listing(const parallel_listing&) = delete;
    parallel_listing& operator=(const parallel_listing&) = delete;

    /// Begins listing.
    void start();
    /// Returns the next blocks, in any order; empty at the end. An error: the listing is incomplete.
    [[nodiscard]] awaitable<result<std::vector<block_info>>> next();
    /// At the end: number of keys that begin with the digits, at least one, and are no names of blocks.
    [[nodiscard]] std::uint64_t foreign() const noexcept { return foreign_; }
    /// Cancels the tasks. Called by the last owner outside of them.
    void stop();

    // For volume_core::list_range().

    [[nodiscard]] awaitable<result<void>> put(std::vector<block_info> batch);
    /// A key was listed that is no name of a block. Others than these are met or not, by how the work is cut: only keys
    /// that begin with a digit count.
    void note_foreign(std::string_view key) noexcept {
        if (is_lower_hex(key.substr(0, 1))) ++foreign_;
    }
    [[nodiscard]] deadline until() const noexcept { return until_; }

  private:
    static awaitable<result<void>> survey(std::shared_ptr<parallel_listing> self);
    static awaitable<result<void>> work(std::shared_ptr<parallel_listing> self);
    [[nodiscard]] result<std::vector<block_info>> outcome(error why);
    void spawn(awaitable<result<void>> task);
    void ended(const result<void>& outcome);

    const std::shared_ptr<volume_core> core_;
    const std::string digits_;
    const deadline until_;

    async_queue<std::vector<block_info>> queue_{
        limits::cloud_index_pages_queued_max};  ///< Closed when listing has ended.

    std::atomic<std::uint64_t> foreign_ = 0;

    std::mutex mutex_;
    // Guarded by mutex_.
    std::vector<std::shared_ptr<loop_task>> tasks_;
    std::deque<std::string> ranges_;  ///< Digits of the ranges that no worker has taken yet.
    unsigned running_ = 0;            ///< Tasks.
    bool stopped_ = false;
    std::optional<error> failed_;
};

}  // namespace keepstore::volumes::cloud
