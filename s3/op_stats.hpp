/// The counters behind client_stats. Safe to use from any thread.
#pragma once

#include "s3/client_stats.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace keepstore::s3 {

/// The Go daemon's five first (docs/interface.md 6.3), then those it does not count.
enum class operation {
    get,
    put,
    head,
    del,
    list,
    copy,
    create_multipart,
    complete_multipart,
    abort_multipart,
    list_uploads,
    head_bucket,
};
inline constexpr std::size_t operation_count = static_cast<std::size_t>(operation::head_bucket) + 1;
[[nodiscard]] std::string_view to_string(operation op) noexcept;

class op_stats {
  public:
    void count(operation op) noexcept { operations_[static_cast<std::size_t>(op)].fetch_add(1, relaxed); }
    void bytes_in(std::uint64_t n) noexcept { bytes_in_.fetch_add(n, relaxed); }
    void bytes_out(std::uint64_t n) noexcept { bytes_out_.fetch_add(n, relaxed); }
    void retried() noexcept { retries_.fetch_add(1, relaxed); }
    void retry_refused() noexcept { retries_refused_.fetch_add(1, relaxed); }
    void resumed() noexcept { resumed_.fetch_add(1, relaxed); }
    void throttled() noexcept { throttled_.fetch_add(1, relaxed); }

    /// Counts a failed request. `status` 0: there was no response. `code`: the service's, empty if it gave none.
    void failed(unsigned status, std::string_view code);

    /// Returns all counters but `http`.
    [[nodiscard]] client_stats snapshot() const;

  private:
    static constexpr auto relaxed = std::memory_order_relaxed;

    std::array<std::atomic<std::uint64_t>, operation_count> operations_{};
    std::atomic<std::uint64_t> bytes_in_{0};
    std::atomic<std::uint64_t> bytes_out_{0};
    std::atomic<std::uint64_t> retries_{0};
    std::atomic<std::uint64_t> retries_refused_{0};
    std::atomic<std::uint64_t> resumed_{0};
    std::atomic<std::uint64_t> throttled_{0};

    mutable std::mutex mutex_;
    std::map<std::string, std::uint64_t> errors_;  // Guarded by mutex_.
};

}  // namespace keepstore::s3
