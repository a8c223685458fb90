/// Which blocks are being fetched, so that readers of the same block join. Safe to use from any thread.
#pragma once

#include "base/md5_digest.hpp"

#include <memory>
#include <mutex>
#include <unordered_map>

namespace keepstore::volumes::s3 {

class fetch;

class fetch_table {
  public:
    /// The fetch of this block, if there is one that newcomers may join.
    [[nodiscard]] std::shared_ptr<fetch> find(const md5_digest& name) const;
    /// Newcomers join this one from now on.
    void add(const md5_digest& name, const std::shared_ptr<fetch>& f);
    void remove(const md5_digest& name, const fetch* f);
    /// The object has changed: newcomers must not get what was there before.
    void forget(const md5_digest& name);

    /// Memory is short: the others drop what all their readers have had. Those who serve several are asked last.
    void shed(const fetch* asking, bool also_shared);

  private:
    mutable std::mutex mutex_;
    std::unordered_map<md5_digest, std::weak_ptr<fetch>> running_;  // Guarded by mutex_.
};

}  // namespace keepstore::volumes::s3
