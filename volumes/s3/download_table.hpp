/// The downloads under way by block, so that readers of the same block join one (request coalescing). Safe to use from
/// any thread.
#pragma once

#include "base/md5_digest.hpp"

#include <memory>
#include <mutex>
#include <unordered_map>

namespace keepstore::volumes::s3 {

class shared_download;

class download_table {
  public:
    /// The download of this block, if there is one that further readers may join.
    [[nodiscard]] std::shared_ptr<shared_download> find(const md5_digest& name) const;
    /// Further readers join this one from now on.
    void add(const md5_digest& name, const std::shared_ptr<shared_download>& d);
    void remove(const md5_digest& name, const shared_download* d);
    /// The object has changed: further readers must not get the old content.
    void forget(const md5_digest& name);

    /// Has all downloads but `asking` drop what all their readers have had; those with several readers only if
    /// `also_shared`.
    void release_buffers(const shared_download* asking, bool also_shared);

  private:
    mutable std::mutex mutex_;
    std::unordered_map<md5_digest, std::weak_ptr<shared_download>> running_;  // Guarded by mutex_.
};

}  // namespace keepstore::volumes::s3
