/// Servers that never send "100 Continue", so that uploads to them do not wait for it. Bounded. Safe to use from any
/// thread.
#pragma once

#include "net/http/url.hpp"
#include "net/limits.hpp"

#include <chrono>
#include <mutex>
#include <string>
#include <unordered_map>

namespace keepstore::net {

class expect_continue_cache {
  public:
    using time_point = std::chrono::steady_clock::time_point;

    /// Whether waiting for "100 Continue" from this server is no use now.
    [[nodiscard]] bool is_silent(const endpoint&, time_point now) const;
    /// An upload waited for the whole of limits::net_continue_wait, and was accepted afterwards.
    void note_silence(const endpoint&, time_point now);
    /// It has sent "100 Continue".
    void note_continue(const endpoint&);

  private:
    struct entry {
        unsigned silences = 0;  ///< In a row.
        time_point unasked_until{};
    };
    mutable std::mutex mutex_;
    std::unordered_map<std::string, entry> entries_;  ///< Guarded by mutex_. Silent servers only.
};

}  // namespace keepstore::net
