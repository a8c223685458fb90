#include "s3/credentials.hpp"

#include "base/limits.hpp"
#include "base/log.hpp"
#include "s3/error.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <utility>

namespace keepstore::s3 {
namespace {

using clock = deadline::clock;

bool same_keys(const signing_keys& a, const signing_keys& b) {
    return a.access_key_id == b.access_key_id && a.secret_access_key == b.secret_access_key &&
           a.session_token == b.session_token;
}

}  // namespace

wall_clock system_wall_clock() {
    return [] { return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now()); };
}

credentials_cache::credentials_cache(std::unique_ptr<credentials_source> source, wall_clock now)
    : source_(std::move(source)), now_(std::move(now)) {}

std::uint64_t credentials_cache::fetches() const {
    const std::lock_guard lock(mutex_);
    return fetches_;
}

// Call with mutex_ held.
credentials_cache::freshness credentials_cache::judge() const {
    if (!held_) return freshness::unusable;
    if (!held_->expires_at) return freshness::good;
    const auto left = *held_->expires_at - now_();
    if (left <= std::chrono::seconds(0)) return freshness::unusable;
    return left <= limits::credentials_renewal_window ? freshness::aging : freshness::good;
}

awaitable<result<credentials>> credentials_cache::get(deadline until) {
    co_return co_await get_or_fetch(std::nullopt, until);
}

awaitable<result<credentials>> credentials_cache::renew(credentials rejected, deadline until) {
    if (!source_->can_change()) {
        co_return std::unexpected(make_error(error_kind::expired_token, "the configured keys were rejected"));
    }
    auto fresh = co_await get_or_fetch(rejected, until);
    if (fresh && same_keys(fresh->keys, rejected.keys)) {
        co_return std::unexpected(make_error(error_kind::expired_token, "no newer keys than the rejected ones"));
    }
    co_return fresh;
}

struct credentials_cache::decision {
    enum class step { use, give_up, fetch, wait } next;
    std::optional<credentials> keys = {};
    std::optional<error> why = {};
};

/// Ends the fetch that its owner was to make, however the owner ends.
class credentials_cache::fetch_guard {
  public:
    explicit fetch_guard(credentials_cache& cache) : cache_(&cache) {}
    ~fetch_guard() {
        if (cache_) cache_->finish_fetch(fail(errc::cancelled), true);
    }
    fetch_guard(const fetch_guard&) = delete;
    fetch_guard& operator=(const fetch_guard&) = delete;
    void finish(const result<credentials>& fetched, bool leader_left) {
        std::exchange(cache_, nullptr)->finish_fetch(fetched, leader_left);
    }

  private:
    credentials_cache* cache_;
};

credentials_cache::decision credentials_cache::decide(const std::optional<credentials>& rejected, bool waited,
                                                      const one_shot<bool>& woken) {
    using step = decision::step;
    const std::lock_guard lock(mutex_);
    const auto state = judge();
    // Who waited for a fetch that succeeded takes what there is, even if it is what was rejected.
    const bool refused = rejected && held_ && same_keys(held_->keys, rejected->keys) && !waited;
    const bool usable = state != freshness::unusable && !refused;
    if (usable && state == freshness::good) return {step::use, held_};
    const bool may_fetch = clock::now() >= no_fetch_before_;
    if (usable && (fetching_ || !may_fetch)) return {step::use, held_};
    if (fetching_) {
        waiting_.push_back(woken);
        return {step::wait};
    }
    if (may_fetch) {
        fetching_ = true;
        ++fetches_;
        return {step::fetch};
    }
    if (state != freshness::unusable) return {step::use, held_};
    return {step::give_up, std::nullopt, last_error_};
}

// At most one fetch at a time. Whoever finds that one is needed while none runs makes it; a leader that goes away wakes
// the others, of whom one becomes the next.
awaitable<result<credentials>> credentials_cache::get_or_fetch(std::optional<credentials> rejected, deadline until) {
    bool waited = false;
    while (true) {
        const one_shot<bool> woken;
        auto found = decide(rejected, waited, woken);
        switch (found.next) {
            case decision::step::use:
                co_return std::move(*found.keys);
            case decision::step::give_up:
                co_return std::unexpected(found.why.value_or(make_error(error_kind::bad_credentials)));
            case decision::step::fetch:
                co_return co_await fetch_for_all(rejected.has_value(), until);
            case decision::step::wait:
                break;
        }
        const auto executor = co_await asio::this_coro::executor;
        asio::steady_timer timer(executor);
        if (!until.is_never()) {
            timer.expires_at(until.at());
            timer.async_wait([woken](const boost::system::error_code& failed) {
                if (!failed) woken.set(fail(errc::timeout, "waiting for credentials took too long"));
            });
        }
        const auto outcome = co_await woken.wait();
        if (!outcome) co_return std::unexpected(outcome.error());
        waited = *outcome;
    }
}

awaitable<result<credentials>> credentials_cache::fetch_for_all(bool rejected, deadline until) {
    fetch_guard guard(*this);
    auto fetched = co_await source_->fetch(until.within(limits::credentials_fetch_timeout));
    if (fetched && fetched->expires_at && *fetched->expires_at <= now_()) {
        fetched =
            std::unexpected(make_error(error_kind::expired_token, fetched->source + " gave keys whose time is over"));
    }
    const bool leader_left = !fetched && (fetched.error() == errc::cancelled || until.passed());
    guard.finish(fetched, leader_left);
    if (fetched || rejected || leader_left) co_return fetched;

    const std::lock_guard lock(mutex_);
    if (judge() == freshness::unusable) co_return fetched;
    co_return *held_;
}

void credentials_cache::finish_fetch(const result<credentials>& fetched, bool leader_left) {
    std::vector<one_shot<bool>> woken;
    {
        const std::lock_guard lock(mutex_);
        fetching_ = false;
        woken.swap(waiting_);
        const bool nothing_new = !fetched || (held_ && same_keys(held_->keys, fetched->keys));
        if (nothing_new && !leader_left) no_fetch_before_ = clock::now() + limits::credentials_retry_interval;
        if (fetched) {
            held_ = *fetched;
            last_error_.reset();
        } else if (!leader_left) {
            last_error_ = fetched.error();
        }
    }
    for (const auto& waiter : woken) waiter.set(fetched.has_value());
    if (!fetched && !leader_left) {
        log::warning("cannot get S3 credentials", {{"error", fetched.error().text}});
    } else if (fetched) {
        log::debug("got S3 credentials", {{"source", fetched->source}});
    }
}

}  // namespace keepstore::s3
