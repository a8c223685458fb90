/// --bandwidth: a limit on the bytes of blocks per second, whatever the number of transfers. Each takes the bytes from
/// one rate_limiter before it moves them, first come, first served.
///
/// Used from the one event loop of the tool. The limiter outlives every wait.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "base/rate_limiter.hpp"
#include "protocol/proven_stream.hpp"

#include <cstdint>
#include <string>

namespace keepstore::keepctl {

/// Waits until the limiter gives out this many bytes. Awaited in place. \returns errc::timeout, cancelled.
[[nodiscard]] awaitable<result<void>> take_bandwidth(rate_limiter& rate, std::uint64_t bytes, deadline until);

/// Returns how many of `jobs` a bandwidth is enough for: with less than limits::keepctl_job_bandwidth_min for each of
/// them, blocks would not arrive in their time. 0: no limit.
[[nodiscard]] unsigned jobs_within(std::uint64_t bandwidth, unsigned jobs);

/// A source that is read no faster than the limiter allows. Used by the coroutine that awaits read().
class paced_source final : public protocol::block_source {
  public:
    paced_source(protocol::block_source& from, rate_limiter& rate) : from_(from), rate_(rate) {}

    [[nodiscard]] std::string where() const override { return from_.where(); }
    [[nodiscard]] std::uint64_t size() const noexcept override { return from_.size(); }
    [[nodiscard]] awaitable<result<void>> read(mutable_slice into, deadline until) override;
    [[nodiscard]] awaitable<result<void>> expect_end(deadline until) override;

  private:
    protocol::block_source& from_;
    rate_limiter& rate_;
};

}  // namespace keepstore::keepctl
