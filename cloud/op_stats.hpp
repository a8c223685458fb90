/// What an S3 client has done so far, for metrics (docs/interface.md 6.3). Safe to use from any thread.
#pragma once

#include "base/counter.hpp"

#include <array>
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

/// Every request that was sent counts, so a call with two retries counts three times.
class op_stats : public counter_set {
  public:
    void count(operation op) noexcept { operations_[static_cast<std::size_t>(op)].add(); }
    /// Counts a failed request. `status` 0: there was no response. `code`: the service's, empty if it gave none.
    void failed(unsigned status, std::string_view code);

    counter bytes_in;   ///< Of bodies of objects.
    counter bytes_out;  ///< Of bodies of objects.
    counter retries{*this, "keepstore_s3_retries_total", "Requests sent again after a failure that may pass"};
    counter retries_refused{*this, "keepstore_s3_retries_refused_total",
                            "Failures that might have passed, while the budget of retries was spent"};
    counter resumed_downloads{*this, "keepstore_s3_resumed_downloads_total",
                              "Downloads continued by another request after they broke off"};
    counter throttled{*this, "keepstore_s3_throttled_total", "Responses that asked for fewer requests"};

    /// Returns the counts by the Go daemon's names: "get", "put" (parts as well), "head" (objects), "delete", "list".
    [[nodiscard]] std::map<std::string, std::uint64_t> operations() const;
    /// Returns those that the Go daemon does not count: "copy", "create_multipart", "complete_multipart",
    /// "abort_multipart", "list_uploads", "head_bucket".
    [[nodiscard]] std::map<std::string, std::uint64_t> other_operations() const;
    /// Returns failed requests by the Go daemon's error types: "*smithy.OperationError 404 NoSuchKey", and without
    /// status and code where there was no response. The usual types are there from the start.
    [[nodiscard]] std::map<std::string, std::uint64_t> errors() const;

  private:
    [[nodiscard]] std::map<std::string, std::uint64_t> counted(std::size_t from, std::size_t to) const;

    std::array<counter, operation_count> operations_;

    mutable std::mutex mutex_;
    std::map<std::string, std::uint64_t> errors_;  // Guarded by mutex_.
};

}  // namespace keepstore::s3
