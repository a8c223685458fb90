/// Chooses how large blocks go to S3, or come from it: whole, by one request, which costs the least; or in parts, by
/// several side by side (volumes/s3/part_upload.hpp, volumes/s3/block_body.hpp). S3 gives a single connection a
/// fraction of what a client may move; where there are many clients they fill the line with one request each, a lone
/// one would wait.
///
/// What is better is measured, with the blocks that come: somebody had to wait most of the time for S3, and S3 was not
/// fast; so the next block goes in parts. If that was not clearly faster (the service itself is the limit, or a narrow
/// line), the following ones go whole. Both are forgotten after limits::s3_pace_kept. What holds for one block at a
/// time need not hold for several, and the other way round; of several what counts is what they move together.
///
/// Safe to use from any thread.
#pragma once

#include "base/deadline.hpp"
#include "base/limits.hpp"

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace keepstore::volumes::s3 {

enum class transfer_way { whole, parts };

/// Lives as long as the volume: transfers refer to it.
class transfer_pace {
  public:
    using clock = deadline::clock;

    /// \param at_most  so many large blocks may be on their way for one of them to go in parts; more fill the line.
    /// \param news  said in the log when parts are faster; with the bucket.
    transfer_pace(unsigned at_most, std::string_view news, std::string bucket)
        : at_most_(at_most), news_(news), bucket_(std::move(bucket)) {}

    /// What became of one.
    struct sample {
        std::uint64_t bytes;
        clock::duration elapsed;  ///< From its beginning to the service's confirmation, or the last byte.
        clock::duration waited;   ///< Of that, how long the client was made to wait for S3.
    };

  private:
    /// How many transfers there were, added up over time.
    struct company {
        clock::time_point at;
        double transfer_seconds;
    };

  public:
    /// A large block on its way.
    class transfer {
      public:
        transfer(transfer&& other) noexcept
            : home_(std::exchange(other.home_, nullptr)),
              way_(other.way_),
              alone_(other.alone_),
              begun_(other.begun_) {}
        transfer& operator=(transfer&&) = delete;
        ~transfer() {
            if (home_) home_->end(clock::now());
        }

        [[nodiscard]] transfer_way way() const noexcept { return way_; }
        /// It goes whole after all.
        void go_whole() noexcept { way_ = transfer_way::whole; }
        /// It is over.
        void moved(const sample& how, clock::time_point now) { home_->moved(*this, how, now); }
        /// It did not work. Whole it may.
        void failed(clock::time_point now) { home_->failed(*this, now); }
        /// The service does not take parts, be it one block or several: some do not know them, or not with these keys.
        /// That is remembered for limits::s3_parts_refused_kept.
        void refused(clock::time_point now) { home_->refused(*this, now + limits::s3_parts_refused_kept); }

      private:
        friend class transfer_pace;
        transfer(transfer_pace& home, transfer_way way, bool alone, company begun)
            : home_(&home), way_(way), alone_(alone), begun_(begun) {}

        transfer_pace* home_;
        transfer_way way_;
        bool alone_;  ///< When it began.
        company begun_;
    };

    /// For a block of at least limits::s3_parallel_block_bytes_min.
    [[nodiscard]] transfer begin(clock::time_point now);

  private:
    struct rate {
        double bytes_per_second;  ///< Of all that were under way.
        clock::time_point at;     ///< Forgotten limits::s3_pace_kept later.
    };
    struct knowledge {
        std::optional<rate> whole;  ///< Where somebody had to wait.
        std::optional<rate> parts;
    };

    void moved(const transfer& which, const sample& how, clock::time_point now);
    void failed(const transfer& which, clock::time_point at);
    void refused(const transfer& which, clock::time_point at);
    void end(clock::time_point now) noexcept;

    // With the mutex held.
    [[nodiscard]] knowledge& known(bool alone) { return alone ? alone_ : in_company_; }
    [[nodiscard]] transfer_way choose(const knowledge& k) const;
    void count_until(clock::time_point now) noexcept;

    const unsigned at_most_;
    const std::string_view news_;
    const std::string bucket_;
    std::mutex mutex_;
    // Guarded by mutex_.
    unsigned under_way_ = 0;
    company company_{};
    knowledge alone_;
    knowledge in_company_;
    bool said_ = false;
};

}  // namespace keepstore::volumes::s3
