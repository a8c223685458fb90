/// Reports a stored copy that is not what its name says: counted each time, logged once per copy, so that a hot bad block
/// does not fill the log. Safe to use from any thread.
#pragma once

#include "base/md5_digest.hpp"

#include <mutex>
#include <string>
#include <string_view>
#include <unordered_set>

namespace keepstore::core {

class bad_copy_log {
  public:
    void report(std::string_view mount_uuid, const md5_digest& block, std::string_view what);
    /// The copy was replaced by good data; a later report is news again.
    void forget(std::string_view mount_uuid, const md5_digest& block);

  private:
    std::mutex mutex_;
    std::unordered_set<std::string> reported_;  // Guarded by mutex_.
};

}  // namespace keepstore::core
