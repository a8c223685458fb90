#include "volumes/cloud/multipart_policy.hpp"

#include "base/log.hpp"
#include "volumes/cloud/limits.hpp"
#include "volumes/cloud/protocol.hpp"

#include <fmt/format.h>

namespace keepstore::volumes::cloud {
namespace {

// The end of one transfer and the beginning of the next may overlap.
constexpr double single_at_most = 1.2;

// Consecutive errors, each of which may be a refusal of parts, that count as one.
constexpr unsigned rejections_max = 3;

}  // namespace

void multipart_policy::transfer::note(const error& why, clock::time_point now) {
    switch (kind_of(why)) {
        case error_kind::server:
            failed(now);
            break;
        // Each may be a refusal of parts, or an odd response of a proxy.
        case error_kind::unsupported:
        case error_kind::invalid:
        case error_kind::invalid_range:
        case error_kind::access_denied:
        case error_kind::malformed_response:
            rejected(now);
            break;
        default:
            break;
    }
}

multipart_policy::transfer multipart_policy::begin(clock::time_point now) {
    const std::lock_guard lock(mutex_);
    count_until(now);
    const bool single = under_way_ == 0;
    auto& k = known(single);
    for (auto* one : {&k.whole, &k.parts}) {
        if (*one && now - (*one)->at > limits::cloud_multipart_choice_kept) one->reset();
    }
    const auto mode = choose(k);
    ++under_way_;
    return {*this, mode, single, concurrency_};
}

transfer_mode multipart_policy::choose(const knowledge& k) const {
    if (under_way_ >= at_most_) return transfer_mode::whole;
    if (!k.whole || k.whole->bytes_per_second >= limits::cloud_whole_rate_enough) return transfer_mode::whole;
    if (k.parts && k.parts->bytes_per_second < limits::cloud_parallel_gain_min * k.whole->bytes_per_second) {
        return transfer_mode::whole;
    }
    return transfer_mode::parts;
}

void multipart_policy::moved(const transfer& which, const sample& how, clock::time_point now) {
    const double seconds = std::chrono::duration<double>(how.elapsed).count();
    if (seconds <= 0) return;
    // Otherwise the client was the limit, and the rate says nothing about the service.
    const bool had_to_wait = how.waited > how.elapsed / 2;
    std::string news;
    {
        const std::lock_guard lock(mutex_);
        if (which.mode_ == transfer_mode::parts) rejections_ = 0;
        count_until(now);
        const double lifetime = std::chrono::duration<double>(concurrency_.at - which.begun_.at).count();
        if (lifetime <= 0) return;
        // The average number, itself included.
        const double together = (concurrency_.transfer_seconds - which.begun_.transfer_seconds) / lifetime;
        const bool single = together < single_at_most;
        if (which.single_ != single || together > at_most_) return;  // Others came, or left.
        const rate found{.bytes_per_second = static_cast<double>(how.bytes) / seconds * together, .at = now};
        auto& k = known(which.single_);
        if (which.mode_ == transfer_mode::whole) {
            if (had_to_wait) k.whole = found;
            return;
        }
        const bool faster =
            k.whole && found.bytes_per_second >= limits::cloud_parallel_gain_min * k.whole->bytes_per_second;
        if (!faster && !had_to_wait) return;
        k.parts = found;
        if (faster && !std::exchange(said_, true)) {
            const double gain = found.bytes_per_second / k.whole->bytes_per_second;
            news = fmt::format("{:.0f} MB/s, {:.1f} times as fast", found.bytes_per_second / 1e6, gain);
        }
    }
    if (!news.empty()) log::info(news_, {{where_.kind, where_.name}, {"rate", news}});
}

void multipart_policy::failed(const transfer& which, clock::time_point at) {
    if (which.mode_ == transfer_mode::whole) return;
    const std::lock_guard lock(mutex_);
    auto& parts = known(which.single_).parts;
    // A refusal that was noted meanwhile is kept for longer.
    if (!parts || parts->at < at) parts = rate{.bytes_per_second = 0, .at = at};
}

void multipart_policy::rejected(const transfer& which, clock::time_point now) {
    if (which.mode_ == transfer_mode::whole) return;
    bool repeated = false;
    {
        const std::lock_guard lock(mutex_);
        repeated = ++rejections_ >= rejections_max;
        if (repeated) rejections_ = 0;
    }
    if (repeated)
        refused(now);
    else
        failed(which, now);
}

void multipart_policy::refused(clock::time_point now) {
    const std::lock_guard lock(mutex_);
    for (auto* k : {&single_, &concurrent_})
        k->parts = rate{.bytes_per_second = 0, .at = now + limits::cloud_parts_refused_kept};
}

void multipart_policy::end(clock::time_point now) noexcept {
    const std::lock_guard lock(mutex_);
    count_until(now);
    --under_way_;
}

void multipart_policy::count_until(clock::time_point now) noexcept {
    if (now <= concurrency_.at) return;
    concurrency_.transfer_seconds += under_way_ * std::chrono::duration<double>(now - concurrency_.at).count();
    concurrency_.at = now;
}

}  // namespace keepstore::volumes::cloud
