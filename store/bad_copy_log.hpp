/// Remembers the stored copies that were found to be corrupt or unreadable, and logs each of them once, so that a hot
/// block does not fill the log. Safe to use from any thread.
#pragma once

#include "base/md5_digest.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace keepstore::store {

class bad_copy_log {
  public:
    using time_point = std::chrono::system_clock::time_point;

    /// Logs the copy unless it is known. `offset` is where in the block the damage begins, as far as known. \returns
    /// since when it is known.
    time_point report(std::string_view mount_uuid, const md5_digest& block, std::string_view what,
                      std::uint64_t offset);
    /// Whether this copy was reported, so that others are tried first. One load while none was.
    [[nodiscard]] bool knows(std::string_view mount_uuid, const md5_digest& block) const;
    /// The copy was replaced by good data; a later report is logged again.
    void forget(std::string_view mount_uuid, const md5_digest& block);

  private:
    mutable std::mutex mutex_;
    std::atomic<bool> any_ = false;
    std::unordered_map<std::string, time_point> reported_;  // Since when. Guarded by mutex_.
};

}  // namespace keepstore::store
