#include "daemon/volume_watch.hpp"

#include "base/cancellable.hpp"
#include "base/log.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::daemon {
namespace {

constexpr std::chrono::milliseconds watch_interval{250};

void log_change(const store::mount& m, std::string_view operation, volumes::volume_state from,
                volumes::volume_state to) {
    if (from == to) return;
    // Slow is no trouble: it is in the metrics.
    if (from <= volumes::volume_state::slow && to <= volumes::volume_state::slow) return;
    const bool works = to <= volumes::volume_state::slow;
    log::write(works ? log::level::info : log::level::warning, "the state of a volume has changed",
               {{"mount", m.uuid},
                {"operation", operation},
                {"from", volumes::to_string(from)},
                {"to", volumes::to_string(to)},
                {"reason", works ? std::string("calls or a probe work again") : m.volume->health()}});
}

}  // namespace

awaitable<void> watch_volumes(const store::mount_table& mounts) {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    std::vector<volumes::volume_states> known(mounts.all().size());
    while (!co_await is_cancelled()) {
        for (std::size_t i = 0; i < known.size(); ++i) {
            const store::mount& m = mounts.all()[i];
            const auto now = m.volume->state();
            log_change(m, "read", known[i].reads, now.reads);
            if (m.allow_write) log_change(m, "write", known[i].writes, now.writes);
            known[i] = now;
        }
        timer.expires_after(watch_interval);
        static_cast<void>(co_await expiry(timer));
    }
}

}  // namespace keepstore::daemon
