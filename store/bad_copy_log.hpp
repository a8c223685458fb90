/// Reports a stored copy that is not what its name says: counted each time, logged once per copy, so that a hot bad
/// block does not fill the log. Safe to use from any thread.
#pragma once

#include "base/md5_digest.hpp"

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_set>

namespace keepstore::store {

class bad_copy_log {
  public:
    /// `offset`: where in the block the trouble begins, as far as known.
    void report(std::string_view mount_uuid, const md5_digest& block, std::string_view what, std::uint64_t offset);
    /// Whether this copy was reported, so that others are better asked first. One load while nothing was.
    [[nodiscard]] bool knows(std::string_view mount_uuid, const md5_digest& block) const;
    /// The copy was replaced by good data; a later report is news again.
    void forget(std::string_view mount_uuid, const md5_digest& block);

  private:
    mutable std::mutex mutex_;
    std::atomic<bool> any_ = false;
    std::unordered_set<std::string> reported_;  // Guarded by mutex_.
};

}  // namespace keepstore::store
