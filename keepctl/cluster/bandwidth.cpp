#include "keepctl/cluster/bandwidth.hpp"

#include "keepctl/cluster/limits.hpp"

#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <utility>

namespace keepstore::keepctl {

awaitable<result<void>> take_bandwidth(rate_limiter& rate, std::uint64_t bytes, deadline until) {
    rate_limiter::ticket ticket(rate, bytes);
    asio::steady_timer timer(co_await asio::this_coro::executor);
    while (true) {
        const auto wait = ticket.try_take(rate_limiter::clock::now());
        if (wait == rate_limiter::clock::duration::zero()) co_return success();
        if (until.passed()) co_return fail(errc::timeout, "--bandwidth is too small for the blocks under way");
        timer.expires_after(wait);
        if (const auto [failed] = co_await expiry(timer); failed) co_return fail(errc::cancelled);
    }
}

unsigned jobs_within(std::uint64_t bandwidth, unsigned jobs) {
    if (bandwidth == 0) return jobs;
    const auto most = std::max<std::uint64_t>(1, bandwidth / limits::keepctl_job_bandwidth_min);
    return static_cast<unsigned>(std::min<std::uint64_t>(most, jobs));
}

awaitable<result<void>> paced_source::read(mutable_slice into, deadline until) {
    KS_CO_CHECK(co_await take_bandwidth(rate_, into.size(), until));
    co_return co_await from_.read(std::move(into), until);
}

awaitable<result<void>> paced_source::expect_end(deadline until) {
    co_return co_await from_.expect_end(until);
}

}  // namespace keepstore::keepctl
