/// The downloads under way by block, so that readers of the same block join one (request coalescing). Safe to use from
/// any thread.
#pragma once

#include "base/md5_digest.hpp"

#include <array>
#include <chrono>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace keepstore::volumes::cloud {

class shared_download;

class download_table {
  public:
    /// The download of this block, if there is one that further readers may join.
    [[nodiscard]] std::shared_ptr<shared_download> find(const md5_digest& name) const;
    /// Further readers join this one from now on. \returns the one that they joined before, if it is still under way.
    std::shared_ptr<shared_download> add(const md5_digest& name, const std::shared_ptr<shared_download>& d);
    void remove(const md5_digest& name, const shared_download* d);
    /// The object has changed: further readers must not get the old content.
    void forget(const md5_digest& name);

    /// Has all downloads but `asking` drop what all their readers have had; those with several readers only if
    /// `also_shared`. Does nothing soon after the last time.
    void release_buffers(const shared_download* asking, bool also_shared);

  private:
    using clock = std::chrono::steady_clock;

    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::unordered_map<md5_digest, std::weak_ptr<shared_download>> running_;
    std::array<clock::time_point, 2> next_release_{};  ///< By `also_shared`.
};

}  // namespace keepstore::volumes::cloud
