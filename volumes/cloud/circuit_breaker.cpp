#include "volumes/cloud/circuit_breaker.hpp"

#include "base/log.hpp"
#include "volumes/cloud/limits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace keepstore::volumes::cloud {
namespace {

// Throttling is no outage, nor is anything that the service says about an object.
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

std::string headline(const place& where, const error& why) {
    const auto& service = where.service;
    const auto& kind = where.kind;
    switch (kind_of(why)) {
        case error_kind::bad_certificate:
            return service + " TLS certificate verification failed";
        case error_kind::malformed_response:
            return fmt::format("unexpected response: not an {} service", service);
        case error_kind::server:
            return service + " responds with server errors";
        case error_kind::network:
        case error_kind::timeout:
            return service + " does not respond";
        case error_kind::no_such_bucket:
            return fmt::format("{} does not have this {}", service, kind);
        case error_kind::bad_credentials:
        case error_kind::expired_token:
            return service + " does not accept these keys";
        case error_kind::access_denied:
            return fmt::format("{} does not allow these keys to use this {}", service, kind);
        case error_kind::clock_skew:
            return service + " does not accept the time of this machine";
        case error_kind::wrong_region:
            return fmt::format("{} has this {} in another region", service, kind);
        default:
            return service + " refuses this configuration";
    }
}

}  // namespace

circuit_breaker::pending_call::pending_call(circuit_breaker& owner) : owner_(owner) {
    const std::lock_guard lock(owner_.mutex_);
    if (owner_.pending_++ == 0) owner_.pending_since_ = clock::now();
}

circuit_breaker::pending_call::~pending_call() {
    const std::lock_guard lock(owner_.mutex_);
    --owner_.pending_;
}

// --- what calls report and ask ---

result<void> circuit_breaker::allow() const {
    const std::lock_guard lock(mutex_);
    if (state_ != state::open) return success();
    return fail(errc::unavailable, trouble_);
}

volume_state circuit_breaker::volume_health() {
    const std::lock_guard lock(mutex_);
    if (state_ != state::closed) return volume_state::failing;
    return found_stalled() ? volume_state::stalled : volume_state::healthy;
}

std::string circuit_breaker::health() {
    const std::lock_guard lock(mutex_);
    if (state_ == state::closed && found_stalled())
        return fmt::format("calls are pending, and {} sends and takes nothing", where_.service);
    return trouble_;
}

void circuit_breaker::succeeded() {
    note_progress();
    const std::lock_guard lock(mutex_);
    failures_ = 0;
}

void circuit_breaker::failed(const error& why) {
    if (why == errc::cancelled) return;
    if (!is_outage(why)) {
        // The service responded.
        note_progress();
        return;
    }
    const std::lock_guard lock(mutex_);
    if (++failures_ == limits::cloud_outage_failures) became_suspicious_.notify_all();
}

// --- when probes are due ---

bool circuit_breaker::silent() const noexcept {
    if (pending_ == 0) return false;
    const auto since = std::max(last_progress_.load(std::memory_order_relaxed), pending_since_);
    return clock::now() - since > limits::cloud_silence_max;
}

bool circuit_breaker::stalled() const noexcept {
    return stalled_at_ && last_progress_.load(std::memory_order_relaxed) < *stalled_at_;
}

bool circuit_breaker::found_stalled() noexcept {
    if (silent() && !stalled()) stalled_at_ = clock::now();
    return stalled();
}

bool circuit_breaker::suspicious() const noexcept {
    return !probed_ || failures_ >= limits::cloud_outage_failures || silent() || stalled();
}

// Returns when a quick probe is due, and takes the time if it is the first in a row.
awaitable<result<void>> circuit_breaker::quick_probe_due() {
    std::unique_lock lock(mutex_);
    while (state_ != state::open && !suspicious()) {
        probing_since_.reset();
        probe_timeouts_ = 0;
        // Silence does not notify: it is looked for in intervals.
        auto woken = co_await became_suspicious_.wait(lock, deadline::in(limits::cloud_probe_interval));
        if (!woken && woken.error() == errc::cancelled) co_return woken;
    }
    if (!probing_since_) probing_since_ = clock::now();
    co_return success();
}

bool circuit_breaker::long_probe_due() const {
    const std::lock_guard lock(mutex_);
    if (state_ != state::closed) return true;
    // Most quick probes get a response sooner.
    return probing_since_ && clock::now() - *probing_since_ >= limits::cloud_probe_interval;
}

bool circuit_breaker::is_refused() const {
    const std::lock_guard lock(mutex_);
    return state_ == state::refused;
}

// --- what probes find ---

bool circuit_breaker::is_conclusive(const result<std::string>& quick, clock::time_point begun) {
    const std::lock_guard lock(mutex_);
    const bool timeout = !quick && kind_of(quick.error()) == error_kind::timeout;
    // Progress of a call, or a response to the long probe, refutes a timeout.
    const bool refuted = timeout && last_progress_.load(std::memory_order_relaxed) >= begun;
    probe_timeouts_ = timeout && !refuted ? probe_timeouts_ + 1 : 0;
    const bool conclusive = !timeout || probe_timeouts_ >= limits::cloud_probe_timeouts_min;
    if (conclusive || refuted) probing_since_.reset();
    return conclusive;
}

bool circuit_breaker::probed(const result<std::string>& outcome) {
    const bool throttled = !outcome && kind_of(outcome.error()) == error_kind::slow_down;
    const std::lock_guard lock(mutex_);
    probed_ = true;
    if (!outcome && !throttled) return fail_probe(outcome.error());
    // A throttling response proves that the service is up; it says nothing about bucket or credentials.
    if (throttled && state_ == state::refused)
        failures_ = 0;
    else
        close(throttled ? std::nullopt : std::optional(*outcome));
    note_progress();
    return false;
}

// `why_not_listed` is absent where the probe did not find out.
void circuit_breaker::close(const std::optional<std::string>& why_not_listed) {
    failures_ = 0;
    const bool was_closed = std::exchange(state_, state::closed) == state::closed;
    trouble_.clear();
    if (why_not_listed)
        log_listing(*why_not_listed, was_closed);
    else if (!was_closed)
        log::info(where_.service + " responds again", {{where_.kind, where_.name}});
}

void circuit_breaker::log_listing(const std::string& why_not_listed, bool was_closed) {
    const bool reported_usable = std::exchange(reported_usable_, true);
    const bool unlisted = !why_not_listed.empty();
    const bool reported_unlisted = std::exchange(reported_unlisted_, unlisted);
    if (unlisted && !reported_unlisted) {
        log::warning(
            fmt::format("{} does not allow these keys to list this {}: blocks can be written and read, but there is no "
                        "index (keep-balance stops), trash is never emptied, and requests for missing blocks may get "
                        "503; allow {}",
                        where_.service, where_.kind, where_.list_permission),
            {{where_.kind, where_.name}, {"error", why_not_listed}});
    } else if (!was_closed) {
        log::info(where_.service + " responds again", {{where_.kind, where_.name}});
    } else if (!reported_usable) {
        log::info(fmt::format("{} {} can be used", where_.service, where_.kind), {{where_.kind, where_.name}});
    }
}

bool circuit_breaker::fail_probe(const error& why) {
    const bool outage = is_outage(why);
    if (!outage) note_progress();
    const auto before = std::exchange(state_, outage ? state::open : state::refused);
    // Compared by kind: each text has its own request id.
    if (before != state_ || trouble_kind_ != kind_of(why)) complain(why);
    trouble_ = why.text;
    trouble_kind_ = kind_of(why);
    return outage && before != state::open;
}

void circuit_breaker::complain(const error& why) const {
    std::vector<log::field> fields{{where_.kind, where_.name}, {"error", why.text}};
    if (!diagnosis_.empty()) fields.emplace_back("diagnosis", diagnosis_);
    log::write(log::level::error, headline(where_, why), fields);
}

// --- the probes ---

awaitable<result<void>> circuit_breaker::monitor(std::shared_ptr<circuit_breaker> self, probe_type probe,
                                                 std::function<void()> opened) {
    while (true) {
        KS_CO_CHECK(co_await self->quick_probe_due());
        const auto begun = clock::now();
        const auto outcome = co_await probe(deadline::in(limits::cloud_probe_timeout));
        if (!outcome && outcome.error() == errc::cancelled) co_return std::unexpected(outcome.error());
        if (!self->is_conclusive(outcome, begun)) continue;
        if (self->probed(outcome)) opened();
        KS_CO_CHECK(co_await pause_for(limits::cloud_probe_interval));
    }
}

awaitable<result<void>> circuit_breaker::monitor_slowly(std::shared_ptr<circuit_breaker> self, probe_type probe,
                                                        std::function<void()> opened) {
    while (true) {
        if (self->long_probe_due()) {
            const auto outcome = co_await probe(deadline::in(limits::cloud_long_probe_timeout));
            if (!outcome && outcome.error() == errc::cancelled) co_return std::unexpected(outcome.error());
            // Only quick probes may declare an outage; there are none where bucket or credentials are refused.
            const bool responded = outcome || !is_outage(outcome.error());
            if ((responded || self->is_refused()) && self->probed(outcome)) opened();
        }
        const bool rarely = self->is_refused();
        KS_CO_CHECK(co_await pause_for(rarely ? limits::cloud_refused_probe_interval : limits::cloud_probe_interval));
    }
}

}  // namespace keepstore::volumes::cloud
