#include "volumes/health.hpp"

#include "base/log.hpp"
#include "volumes/limits.hpp"

#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <system_error>
#include <thread>
#include <utility>

namespace keepstore::volumes {
namespace {

// For a probe that runs when the volume is closed: a few file calls.
constexpr std::chrono::milliseconds probe_stop_wait{100};

std::string_view name_of(traffic t) {
    return t == traffic::reads ? "reads" : "writes";
}

// Says something about the storage. A network file system gives ETIMEDOUT; other timeouts are limits of our own. Lack
// of descriptors is errc::unavailable.
bool is_fault(const error& why) {
    return why == errc::io_error || (why == errc::timeout && why.cause);
}

}  // namespace

void health_tracker::call_worked(traffic t) noexcept {
    side& s = of(t);
    if (s.failures.load(std::memory_order_relaxed) != 0) s.failures = 0;
    if (s.failing.load(std::memory_order_relaxed)) s.failing = false;
}

void health_tracker::call_failed(traffic t, const error& why) {
    if (!is_fault(why)) return;
    side& s = of(t);
    const std::lock_guard lock(mutex_);
    ++s.failures;
    s.trouble = why.text;
}

bool health_tracker::probe_due(traffic t, const activity& a) const {
    return gone() || state(t, a) != volume_state::healthy ||
           of(t).failures.load(std::memory_order_relaxed) >= limits::volume_failures_max;
}

void health_tracker::probe_began(traffic t) noexcept {
    of(t).probing_since = clock::now().time_since_epoch().count();
}

void health_tracker::probe_ended(traffic t, const result<void>& outcome) {
    side& s = of(t);
    s.probing_since = 0;
    if (outcome) {
        if (t == traffic::reads) gone_ = false;
        call_worked(t);
        return;
    }
    if (outcome.error() == errc::not_found) return found_gone(outcome.error());
    if (!is_fault(outcome.error())) return;
    const std::lock_guard lock(mutex_);
    if (++s.failures >= limits::volume_failures_max) s.failing = true;
    s.trouble = outcome.error().text;
}

void health_tracker::found_gone(const error& why) {
    const std::lock_guard lock(mutex_);
    why_gone_ = why.text;
    gone_ = true;
}

bool health_tracker::probe_hangs(traffic t) const noexcept {
    const auto since = of(t).probing_since.load(std::memory_order_relaxed);
    return since != 0 && clock::now().time_since_epoch() - clock::duration(since) > limits::volume_probe_hang;
}

volume_state health_tracker::state(traffic t, const activity& a) const noexcept {
    if (gone()) return volume_state::gone;
    // Writes need look-ups.
    if (a.stalled || probe_hangs(t) || probe_hangs(traffic::reads)) return volume_state::stalled;
    if (of(t).failing.load(std::memory_order_relaxed)) return volume_state::failing;
    return a.slow ? volume_state::slow : volume_state::healthy;
}

std::string health_tracker::text(const activity& reads, const activity& writes) const {
    const std::lock_guard lock(mutex_);
    if (gone()) return why_gone_;
    std::string out;
    for (const auto& [t, a] : {std::pair(traffic::reads, reads), std::pair(traffic::writes, writes)}) {
        const auto now = state(t, a);
        if (now <= volume_state::slow) continue;
        if (!out.empty()) out += "; ";
        if (now == volume_state::stalled && a.stalled) {
            out += fmt::format("{} do not respond: no call has moved for {:.1f} s", name_of(t),
                               std::chrono::duration<double>(a.silence).count());
        } else if (now == volume_state::stalled) {
            out += fmt::format("{} do not respond to a probe", name_of(t));
        } else {
            out += fmt::format("{} fail: {}", name_of(t), of(t).trouble);
        }
    }
    return out;
}

probe_thread::probe_thread(std::string name, std::chrono::milliseconds interval, std::function<void()> probe) {
    auto loop = [s = shared_, name, interval, probe = std::move(probe)] {
        pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
        std::unique_lock lock(s->mutex);
        while (!s->changed.wait_for(lock, interval, [&] { return s->stopping; })) {
            lock.unlock();
            probe();
            lock.lock();
        }
        s->ended = true;
        s->changed.notify_all();
    };
    try {
        std::thread(std::move(loop)).detach();
    } catch (const std::system_error& failed) {
        log::warning("no thread for probes of a volume", {{"error", failed.code().message()}});
        shared_->ended = true;
    }
}

probe_thread::~probe_thread() {
    std::unique_lock lock(shared_->mutex);
    shared_->stopping = true;
    shared_->changed.notify_all();
    shared_->changed.wait_for(lock, probe_stop_wait, [this] { return shared_->ended; });
}

}  // namespace keepstore::volumes
