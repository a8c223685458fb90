/// Which of several shards a thread uses, so that threads that count at the same time do not wait for each other.
#pragma once

#include <atomic>
#include <cstddef>

namespace keepstore::router {

/// Numbers threads from 0, in the order of their first call.
inline std::size_t thread_number() noexcept {
    static std::atomic<std::size_t> threads{0};
    thread_local const std::size_t mine = threads.fetch_add(1, std::memory_order_relaxed);
    return mine;
}

}  // namespace keepstore::router
