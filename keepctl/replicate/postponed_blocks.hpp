/// Blocks that fail in pass after pass: each is tried again after limits::postponed_first, then after twice the time,
/// up to limits::postponed_most. At most limits::failures_kept_max are remembered, others are tried in every pass.
/// Times are those that the caller gives. Used by one thread.
#pragma once

#include "base/md5_digest.hpp"
#include "keepctl/cluster/limits.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace keepstore::keepctl {

class postponed_blocks {
  public:
    using clock = std::chrono::steady_clock;

    /// A block has failed. One that is not due yet was not tried: nothing changes.
    void failed(const md5_digest& block, std::string reason, clock::time_point now) {
        auto at = blocks_.find(block);
        if (at == blocks_.end()) {
            if (blocks_.size() >= limits::failures_kept_max) return;
            at = blocks_.emplace(block, entry{}).first;
        } else if (now < at->second.due) {
            return;
        }
        auto& e = at->second;
        e.wait = e.wait.count() == 0 ? limits::postponed_first : std::min(2 * e.wait, limits::postponed_most);
        e.due = now + e.wait;
        e.reason = std::move(reason);
        e.seen = true;
    }

    /// Why the block failed, if it is not to be tried yet.
    [[nodiscard]] std::optional<std::string> reason(const md5_digest& block, clock::time_point now) {
        const auto at = blocks_.find(block);
        if (at == blocks_.end() || now >= at->second.due) return std::nullopt;
        at->second.seen = true;
        return at->second.reason;
    }

    /// Forgets the blocks that were not seen since the last call: they are there now, or no longer wanted. After a pass
    /// that has looked at all.
    void end_pass() {
        std::erase_if(blocks_, [](const auto& e) { return !e.second.seen; });
        for (auto& [block, e] : blocks_) e.seen = false;
    }

  private:
    struct entry {
        std::chrono::minutes wait{0};
        clock::time_point due{};
        std::string reason = {};
        bool seen = false;
    };
    std::map<md5_digest, entry> blocks_;
};

}  // namespace keepstore::keepctl
