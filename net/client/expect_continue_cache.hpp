/// Which servers never say "100 Continue", so that not every upload waits for it in vain. Bounded. Safe to use from any
/// thread.
#pragma once

#include "net/http/url.hpp"

#include <chrono>
#include <mutex>
#include <string>
#include <unordered_map>

namespace keepstore::net {

class continue_memory {
  public:
    using time_point = std::chrono::steady_clock::time_point;

    /// Whether there is no use in asking this server before the body is sent.
    [[nodiscard]] bool is_silent(const endpoint&, time_point now) const;
    /// It let an upload wait until the wait was over, and took it afterwards.
    void note_silence(const endpoint&, time_point now);
    /// It said the word.
    void note_word(const endpoint&);

  private:
    struct entry {
        unsigned silences = 0;  ///< In a row.
        time_point unasked_until{};
    };
    mutable std::mutex mutex_;
    std::unordered_map<std::string, entry> entries_;  ///< Guarded by mutex_. None for servers that speak.
};

}  // namespace keepstore::net
