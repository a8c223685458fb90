#include "volumes/s3/multipart_policy.hpp"

#include "base/log.hpp"

#include <fmt/format.h>

namespace keepstore::volumes::s3 {
namespace {

// The end of one and the beginning of the next may overlap.
constexpr double alone_at_most = 1.2;

}  // namespace

transfer_pace::transfer transfer_pace::begin(clock::time_point now) {
    const std::lock_guard lock(mutex_);
    count_until(now);
    const bool alone = under_way_ == 0;
    auto& k = known(alone);
    for (auto* one : {&k.whole, &k.parts}) {
        if (*one && now - (*one)->at > limits::s3_pace_kept) one->reset();
    }
    const auto way = choose(k);
    ++under_way_;
    return {*this, way, alone, company_};
}

transfer_way transfer_pace::choose(const knowledge& k) const {
    if (under_way_ >= at_most_) return transfer_way::whole;
    if (!k.whole || k.whole->bytes_per_second >= limits::s3_whole_rate_enough) return transfer_way::whole;
    if (k.parts && k.parts->bytes_per_second < limits::s3_parallel_gain_min * k.whole->bytes_per_second) {
        return transfer_way::whole;
    }
    return transfer_way::parts;
}

void transfer_pace::moved(const transfer& which, const sample& how, clock::time_point now) {
    const double seconds = std::chrono::duration<double>(how.elapsed).count();
    if (seconds <= 0) return;
    // Who does not have to wait measures the client.
    const bool had_to_wait = how.waited > how.elapsed / 2;
    std::string news;
    {
        const std::lock_guard lock(mutex_);
        count_until(now);
        const double lifetime = std::chrono::duration<double>(company_.at - which.begun_.at).count();
        if (lifetime <= 0) return;
        // Itself included, on average.
        const double together = (company_.transfer_seconds - which.begun_.transfer_seconds) / lifetime;
        const bool alone = together < alone_at_most;
        if (which.alone_ != alone || together > at_most_) return;  // Others came, or left.
        const rate found{.bytes_per_second = static_cast<double>(how.bytes) / seconds * together, .at = now};
        auto& k = known(which.alone_);
        if (which.way_ == transfer_way::whole) {
            if (had_to_wait) k.whole = found;
            return;
        }
        const bool faster =
            k.whole && found.bytes_per_second >= limits::s3_parallel_gain_min * k.whole->bytes_per_second;
        if (!faster && !had_to_wait) return;
        k.parts = found;
        if (faster && !std::exchange(said_, true)) {
            const double gain = found.bytes_per_second / k.whole->bytes_per_second;
            news = fmt::format("{:.0f} MB/s, {:.1f} times as fast", found.bytes_per_second / 1e6, gain);
        }
    }
    if (!news.empty()) log::info(news_, {{"bucket", bucket_}, {"rate", news}});
}

void transfer_pace::failed(const transfer& which, clock::time_point at) {
    if (which.way_ == transfer_way::whole) return;
    const std::lock_guard lock(mutex_);
    known(which.alone_).parts = rate{.bytes_per_second = 0, .at = at};
}

void transfer_pace::refused(const transfer& which, clock::time_point at) {
    if (which.way_ == transfer_way::whole) return;
    const std::lock_guard lock(mutex_);
    for (auto* k : {&alone_, &in_company_}) k->parts = rate{.bytes_per_second = 0, .at = at};
}

void transfer_pace::end(clock::time_point now) noexcept {
    const std::lock_guard lock(mutex_);
    count_until(now);
    --under_way_;
}

void transfer_pace::count_until(clock::time_point now) noexcept {
    if (now <= company_.at) return;
    company_.transfer_seconds += under_way_ * std::chrono::duration<double>(now - company_.at).count();
    company_.at = now;
}

}  // namespace keepstore::volumes::s3
