#include "volumes/s3/circuit_breaker.hpp"

#include "base/limits.hpp"
#include "base/log.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace keepstore::volumes::s3 {
namespace {

using keepstore::s3::error_kind;
using keepstore::s3::kind_of;

// What a dead or unreachable service looks like. Throttling is not that, nor anything it said about an object.
bool is_outage(const error& why) {
    switch (kind_of(why)) {
        case error_kind::network:
        case error_kind::timeout:
        case error_kind::server:
        case error_kind::malformed_response:
        case error_kind::bad_certificate:
            return true;
        default:
            return false;
    }
}

std::string_view headline(const error& why) {
    switch (kind_of(why)) {
        case error_kind::bad_certificate:
            return "S3 TLS certificate verification failed";
        case error_kind::malformed_response:
            return "unexpected response: not an S3 service";
        case error_kind::server:
            return "S3 fails";
        case error_kind::network:
        case error_kind::timeout:
            return "S3 does not respond";
        case error_kind::no_such_bucket:
            return "S3 does not have this bucket";
        case error_kind::bad_credentials:
        case error_kind::expired_token:
            return "S3 does not accept these keys";
        case error_kind::access_denied:
            return "S3 does not allow these keys to use this bucket";
        case error_kind::clock_skew:
            return "S3 does not accept the time of this machine";
        case error_kind::wrong_region:
            return "S3 has this bucket in another region";
        default:
            return "S3 refuses this configuration";
    }
}

}  // namespace

availability::waiting::waiting(availability& owner) : owner_(owner) {
    if (owner_.waiting_.fetch_add(1, std::memory_order_relaxed) == 0) {
        owner_.waiting_since_.store(now(), std::memory_order_relaxed);
    }
}

availability::waiting::~waiting() {
    owner_.waiting_.fetch_sub(1, std::memory_order_relaxed);
}

result<void> availability::admit() const {
    if (state_.load(std::memory_order_relaxed) != state::down) return {};
    const std::lock_guard lock(mutex_);
    return fail(errc::unavailable, trouble_.empty() ? "the S3 service does not respond" : trouble_);
}

std::string availability::health() const {
    if (state_.load(std::memory_order_relaxed) == state::up) return {};
    const std::lock_guard lock(mutex_);
    return trouble_;
}

void availability::succeeded() {
    progress();
    // Only written when it changes: this is on every call's way.
    if (failures_.load(std::memory_order_relaxed) != 0) failures_.store(0, std::memory_order_relaxed);
}

void availability::failed(const error& why) {
    if (why == errc::cancelled) return;
    if (!is_outage(why)) {
        // It answered.
        progress();
        return;
    }
    if (failures_.fetch_add(1, std::memory_order_relaxed) + 1 != limits::s3_outage_failures) return;
    const std::lock_guard lock(mutex_);
    if (state_.load(std::memory_order_relaxed) == state::down) return;
    trouble_ = why.text;
    trouble_kind_ = kind_of(why);
    state_.store(state::down, std::memory_order_relaxed);
    complain("; requests are refused until that has changed", why);
}

void availability::complain(std::string_view consequence, const error& why) const {
    std::vector<log::field> fields{{"bucket", bucket_}, {"error", why.text}};
    if (!diagnosis_.empty()) fields.emplace_back("diagnosis", diagnosis_);
    log::write(log::level::error, std::string(headline(why)).append(consequence), fields);
}

bool availability::silent() const noexcept {
    if (waiting_.load(std::memory_order_relaxed) == 0) return false;
    const auto since =
        std::max(last_progress_.load(std::memory_order_relaxed), waiting_since_.load(std::memory_order_relaxed));
    return now() - since > clock::duration(limits::s3_silence_max).count();
}

bool availability::quick_probe_needed() const noexcept {
    return !probed_.load(std::memory_order_relaxed) || state_.load(std::memory_order_relaxed) == state::down ||
           silent();
}

bool availability::patient_probe_needed() const noexcept {
    if (state_.load(std::memory_order_relaxed) != state::up) return true;
    // Most quick probes are answered before it comes to this.
    const auto since = probing_since_.load(std::memory_order_relaxed);
    return since != 0 && now() - since >= clock::duration(limits::s3_probe_interval).count();
}

bool availability::probed(const result<std::string>& outcome) {
    probed_.store(true, std::memory_order_relaxed);
    if (!outcome && kind_of(outcome.error()) != error_kind::slow_down) return probe_failed(outcome.error());
    if (outcome)
        probe_succeeded(*outcome);
    else
        probe_throttled();
    return false;
}

void availability::probe_succeeded(const std::string& why_not_listed) {
    failures_.store(0, std::memory_order_relaxed);
    progress();
    const std::lock_guard lock(mutex_);
    const bool was_up = state_.exchange(state::up, std::memory_order_relaxed) == state::up;
    trouble_.clear();
    calls_ended_ = false;
    const bool used = std::exchange(used_, true);
    const bool unlisted = !why_not_listed.empty();
    const bool said = std::exchange(unlisted_, unlisted);
    if (unlisted && !said) {
        log::warning(
            "S3 does not allow these keys to list this bucket: blocks can be written and read, but there is no "
            "index (keep-balance stops), trash is never emptied, and blocks that are not there may be answered "
            "503; allow s3:ListBucket",
            {{"bucket", bucket_}, {"error", why_not_listed}});
    } else if (!was_up) {
        log::info("S3 responds again", {{"bucket", bucket_}});
    } else if (!used) {
        log::info("S3 bucket can be used", {{"bucket", bucket_}});
    }
}

// Who asks for less is there. Nothing is said about bucket and keys.
void availability::probe_throttled() {
    failures_.store(0, std::memory_order_relaxed);
    progress();
    const std::lock_guard lock(mutex_);
    auto expected = state::down;
    if (!state_.compare_exchange_strong(expected, state::up, std::memory_order_relaxed)) return;
    trouble_.clear();
    calls_ended_ = false;
    log::info("S3 responds again", {{"bucket", bucket_}});
}

bool availability::probe_failed(const error& why) {
    const bool outage = is_outage(why);
    const auto next = outage ? state::down : state::refused;
    if (!outage) progress();
    const std::lock_guard lock(mutex_);
    const auto before = state_.exchange(next, std::memory_order_relaxed);
    // Texts have the number of the request in them.
    if (before != next || trouble_kind_ != kind_of(why)) {
        complain({}, why);
    }
    trouble_ = why.text;
    trouble_kind_ = kind_of(why);
    if (outage) return !std::exchange(calls_ended_, true);
    calls_ended_ = false;
    return false;
}

awaitable<result<void>> availability::watch(std::shared_ptr<availability> self, probe_type probe,
                                            std::function<void()> went_down) {
    const auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer(executor);
    unsigned timeouts = 0;  // In a row.
    while (true) {
        if (self->quick_probe_needed()) {
            const auto began = now();
            if (timeouts == 0) self->probing_since_.store(began, std::memory_order_relaxed);
            const auto outcome = co_await probe(deadline::in(limits::s3_probe_timeout));
            if (!outcome && outcome.error() == errc::cancelled) co_return std::unexpected(outcome.error());
            const bool timeout = !outcome && kind_of(outcome.error()) == error_kind::timeout;
            // Calls that come forward, and an answer to the patient probe, say more than a probe that does not.
            const bool refuted = timeout && self->last_progress_.load(std::memory_order_relaxed) >= began;
            timeouts = timeout && !refuted ? timeouts + 1 : 0;
            if (timeouts > 0 && timeouts < limits::s3_probe_timeouts_min) continue;
            if (!refuted && self->probed(outcome)) went_down();
        } else {
            timeouts = 0;
        }
        self->probing_since_.store(0, std::memory_order_relaxed);
        timer.expires_after(limits::s3_probe_interval);
        const auto [stopped] = co_await timer.async_wait(use_tuple);
        if (stopped) co_return fail(errc::cancelled);
    }
}

awaitable<result<void>> availability::watch_patiently(std::shared_ptr<availability> self, probe_type probe,
                                                      std::function<void()> went_down) {
    const auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer(executor);
    const auto refused = [&] { return self->state_.load(std::memory_order_relaxed) == state::refused; };
    while (true) {
        if (self->patient_probe_needed()) {
            const auto outcome = co_await probe(deadline::in(limits::s3_patient_probe_timeout));
            if (!outcome && outcome.error() == errc::cancelled) co_return std::unexpected(outcome.error());
            // That nobody answers is for the quick probes to say. There are none where bucket or keys are wrong.
            const bool answered = outcome || !is_outage(outcome.error());
            if ((answered || refused()) && self->probed(outcome)) went_down();
        }
        timer.expires_after(refused() ? limits::s3_refused_probe_interval : limits::s3_probe_interval);
        const auto [stopped] = co_await timer.async_wait(use_tuple);
        if (stopped) co_return fail(errc::cancelled);
    }
}

}  // namespace keepstore::volumes::s3
