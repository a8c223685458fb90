/// What a client of an object store has done so far, for metrics (docs/interface.md 6.3). Safe to use from any thread.
/// Made with the texts of its service.
#pragma once

#include "base/counter.hpp"
#include "cloud/service.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

namespace keepstore::cloud {

/// The texts of a client's statistics: constants.
struct op_stats_texts {
    /// Names of the operations. The Go daemon counts the first `counted_by_go` of them.
    std::span<const std::string_view> operations;
    std::size_t counted_by_go;
    // Names of the counters.
    std::string_view retries;
    std::string_view retries_refused;
    std::string_view resumed_downloads;
    std::string_view throttled;
    std::string_view other_errors;                   ///< The type of errors beyond limits::cloud_error_types_max.
    std::span<const std::string_view> usual_errors;  ///< Types that are there from the start.
    /// Returns the type of an error, as the Go daemon writes it. `status` 0: there was no response.
    std::string (*error_type)(unsigned status, std::string_view code);
};

/// Every request that was sent counts, so a call with two retries counts three times.
class op_stats : public counter_set {
  public:
    /// `texts` outlive it.
    explicit op_stats(const op_stats_texts& texts);

    void count(operation_id op) noexcept { operations_[op.position].add(); }
    [[nodiscard]] std::string_view name_of(operation_id op) const noexcept { return texts_.operations[op.position]; }
    /// Counts a failed request. `status` 0: there was no response. `code`: the service's, empty if it gave none.
    void failed(unsigned status, std::string_view code);

  private:
    const op_stats_texts& texts_;

  public:
    counter bytes_in;   ///< Of bodies of objects.
    counter bytes_out;  ///< Of bodies of objects.
    counter retries{*this, texts_.retries, "Requests sent again after a failure that may pass"};
    counter retries_refused{*this, texts_.retries_refused,
                            "Failures that might have passed, while the budget of retries was spent"};
    counter resumed_downloads{*this, texts_.resumed_downloads,
                              "Downloads continued by another request after they broke off"};
    counter throttled{*this, texts_.throttled, "Responses that asked for fewer requests"};

    /// Returns the counts of the operations that the Go daemon counts, too.
    [[nodiscard]] std::map<std::string, std::uint64_t> operations() const;
    /// Returns those that the Go daemon does not count.
    [[nodiscard]] std::map<std::string, std::uint64_t> other_operations() const;
    /// Returns failed requests by type.
    [[nodiscard]] std::map<std::string, std::uint64_t> errors() const;

  private:
    [[nodiscard]] std::map<std::string, std::uint64_t> counted(std::size_t from, std::size_t to) const;

    const std::unique_ptr<counter[]> operations_;

    mutable std::mutex mutex_;
    std::map<std::string, std::uint64_t> errors_;  // Guarded by mutex_.
};

/// Returns whether a code of the service can be part of a metric's label.
[[nodiscard]] bool is_plain_code(std::string_view code) noexcept;

}  // namespace keepstore::cloud
