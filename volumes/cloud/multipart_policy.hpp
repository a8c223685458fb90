/// Chooses how large blocks are transferred to or from a cloud service: whole, by one request, which costs the least;
/// or in parts, by several concurrent ones (volumes/cloud/part_upload.hpp, volumes/cloud/block_body.hpp). A service
/// gives a single connection a fraction of the bandwidth of a client; many clients use all of it with one request each,
/// a single one cannot.
///
/// Chosen by measurement: when a transfer was bound by the service and slow, the next block uses parts; if that is not
/// clearly faster (the service itself or the bandwidth is the limit), later ones do not. Measurements are kept for
/// limits::cloud_multipart_choice_kept, apart for single and for concurrent transfers, since one says nothing about the
/// other; for concurrent ones the sum of their rates counts. What a static rule would lose: docs/s3.md, "Requests,
/// connections and memory".
///
/// Safe to use from any thread.
#pragma once

#include "base/deadline.hpp"
#include "base/error.hpp"
#include "volumes/cloud/limits.hpp"
#include "volumes/cloud/place.hpp"

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace keepstore::volumes::cloud {

enum class transfer_mode { whole, parts };

/// Lives as long as the volume: transfers refer to it.
class multipart_policy {
  public:
    using clock = deadline::clock;

    /// \param at_most  concurrent large blocks with which one of them may use parts; more use the whole bandwidth.
    /// \param news  log message for when parts are faster.
    multipart_policy(unsigned at_most, std::string_view news, place where)
        : at_most_(at_most), news_(news), where_(std::move(where)) {}

    /// A completed transfer.
    struct sample {
        std::uint64_t bytes;
        clock::duration elapsed;  ///< From its beginning to the service's confirmation, or the last byte.
        clock::duration waited;   ///< Of that, how long the client had to wait for the service.
    };

  private:
    /// The number of transfers, integrated over time.
    struct concurrency {
        clock::time_point at;
        double transfer_seconds;
    };

  public:
    /// The transfer of a large block.
    class transfer {
      public:
        transfer(transfer&& other) noexcept
            : home_(std::exchange(other.home_, nullptr)),
              mode_(other.mode_),
              single_(other.single_),
              begun_(other.begun_) {}
        transfer& operator=(transfer&&) = delete;
        ~transfer() {
            if (home_) home_->end(clock::now());
        }

        [[nodiscard]] transfer_mode mode() const noexcept { return mode_; }
        /// It is sent whole after all.
        void go_whole() noexcept { mode_ = transfer_mode::whole; }
        /// It was completed.
        void moved(const sample& how, clock::time_point now) { home_->moved(*this, how, now); }
        /// Notes why it ended, as failed() or rejected(). An outage, a client that left, or a wrong digest say nothing
        /// about parts.
        void note(const error& why, clock::time_point now);
        /// It failed in parts, and may work whole: none for limits::cloud_multipart_choice_kept.
        void failed(clock::time_point now) { home_->failed(*this, now); }
        /// As failed(), for an error that is a refusal of parts or a transient fault. After the third in a row, with no
        /// completed transfer in parts between them, the service refuses parts, of single and concurrent blocks alike:
        /// none for limits::cloud_parts_refused_kept.
        void rejected(clock::time_point now) { home_->rejected(*this, now); }

      private:
        friend class multipart_policy;
        transfer(multipart_policy& home, transfer_mode mode, bool single, concurrency begun)
            : home_(&home), mode_(mode), single_(single), begun_(begun) {}

        multipart_policy* home_;
        transfer_mode mode_;
        bool single_;  ///< When it began.
        concurrency begun_;
    };

    /// For a block of at least limits::cloud_parallel_block_bytes_min.
    [[nodiscard]] transfer begin(clock::time_point now);

  private:
    struct rate {
        double bytes_per_second;  ///< Of all concurrent transfers.
        clock::time_point at;     ///< Forgotten limits::cloud_multipart_choice_kept later.
    };
    struct knowledge {
        std::optional<rate> whole;  ///< Where the client had to wait for the service.
        std::optional<rate> parts;
    };

    void moved(const transfer& which, const sample& how, clock::time_point now);
    void failed(const transfer& which, clock::time_point at);
    void rejected(const transfer& which, clock::time_point now);
    void refused(clock::time_point now);
    void end(clock::time_point now) noexcept;

    // With the mutex held.
    [[nodiscard]] knowledge& known(bool single) { return single ? single_ : concurrent_; }
    [[nodiscard]] transfer_mode choose(const knowledge& k) const;
    void count_until(clock::time_point now) noexcept;

    const unsigned at_most_;
    const std::string_view news_;
    const place where_;
    std::mutex mutex_;
    // Guarded by mutex_.
    unsigned under_way_ = 0;
    concurrency concurrency_{};
    knowledge single_;
    knowledge concurrent_;
    unsigned rejections_ = 0;  ///< In a row.
    bool said_ = false;
};

}  // namespace keepstore::volumes::cloud
