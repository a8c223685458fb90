/// What all writers of one volume have queued together. While it is over its limit, writers wait until all of their own
/// bytes are written, whatever they may queue otherwise: so that a thousand clients of a slow disk queue one chunk each
/// and not eight (docs/memory.md). No writer waits for another one's bytes. Safe to use from any thread.
#pragma once

#include "volumes/limits.hpp"

#include <atomic>
#include <cstddef>
#include <utility>

namespace keepstore::volumes {

class queued_bytes {
  public:
    explicit queued_bytes(std::size_t bytes_max = limits::volume_queue_bytes_max) noexcept : bytes_max_(bytes_max) {}
    queued_bytes(const queued_bytes&) = delete;
    queued_bytes& operator=(const queued_bytes&) = delete;

    [[nodiscard]] std::size_t total() const noexcept { return total_.load(std::memory_order_relaxed); }
    [[nodiscard]] bool too_many() const noexcept { return total() > bytes_max_; }

    /// One writer's part. Guarded by its owner; must not outlive the sum.
    class part {
      public:
        explicit part(queued_bytes& all) noexcept : all_(all) {}
        part(const part&) = delete;
        part& operator=(const part&) = delete;
        ~part() { set(0); }

        void set(std::size_t bytes) noexcept {
            all_.total_.fetch_add(bytes - std::exchange(bytes_, bytes), std::memory_order_relaxed);  // Modulo 2^64.
        }
        /// Returns how much the writer may leave queued, of the `wanted` bytes that its caller allows.
        [[nodiscard]] std::size_t allowed(std::size_t wanted) const noexcept { return all_.too_many() ? 0 : wanted; }

      private:
        queued_bytes& all_;
        std::size_t bytes_ = 0;
    };

  private:
    const std::size_t bytes_max_;
    std::atomic<std::size_t> total_{0};
};

}  // namespace keepstore::volumes
