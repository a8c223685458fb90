#include "bench/worker.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace keepstore::bench {

namespace {
// Large enough that system calls are noise when bodies are copied.
constexpr std::size_t scratch_bytes = 256 * 1024;
constexpr int events_per_wait = 256;
constexpr std::chrono::milliseconds timeout_check_interval{250};
// Of the 28,000 ports that Linux gives out for one address some are in TIME_WAIT.
constexpr std::uint32_t connections_per_source = 8000;
constexpr std::uint32_t loopback_network = 127;
}  // namespace

worker::worker(load_control& control, unsigned index, unsigned of)
    : control_(control),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      random_(mix64(control.options.seed + index)),
      scratch_(scratch_bytes) {
    if (epoll_ < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
    const auto& o = control.options;
    add(role::reader, o.connections, o.rate, index, of);
    add(role::slow_reader, o.slow_readers, o.slow_rate, index, of);
    add(role::slow_writer, o.slow_writers, o.slow_rate, index, of);
    add(role::slow_header, o.slow_headers, o.slow_rate, index, of);
    add(role::idle, o.idle, 0, index, of);
}

worker::~worker() {
    connections_.clear();
    ::close(epoll_);
}

void worker::add(role purpose, unsigned how_many, double rate, unsigned index, unsigned of) {
    for (unsigned i = index; i < how_many; i += of) {
        connections_.push_back(std::make_unique<connection>(*this, purpose, rate));
    }
}

in_addr worker::next_source() {
    const auto& o = control_.options;
    const auto total = o.connections + o.slow_readers + o.slow_writers + o.slow_headers + o.idle;
    const auto sources = 1 + total / connections_per_source;
    // All of 127/8 is ours on loopback; elsewhere we do not know which other addresses we have.
    const auto server = ntohl(o.server.socket.sin_addr.s_addr);
    if (sources == 1 || server >> 24 != loopback_network) return in_addr{};
    return in_addr{htonl((loopback_network << 24) + 1 + sources_used_++ % sources)};
}

window_stats* worker::current() {
    const int window = control_.window.load(std::memory_order_relaxed);
    return window < 0 ? nullptr : &windows_[static_cast<std::size_t>(window)];
}

void worker::start_roles(bool slow) {
    const auto now = steady::now();
    for (const auto& c : connections_) {
        if ((c->purpose() != role::reader) == slow) c->start(now);
    }
}

/// \returns milliseconds until the next timer, at most a few: the main thread's switches are
/// polled.
int worker::run_timers(steady::time_point now) {
    while (!timers_.empty() && timers_.top().when <= now) {
        connection* const due = timers_.top().target;
        timers_.pop();
        due->on_timer(now);
    }
    constexpr std::chrono::milliseconds longest{10};
    if (timers_.empty()) return static_cast<int>(longest.count());
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(timers_.top().when - now);
    return static_cast<int>(std::clamp(left, std::chrono::milliseconds{0}, longest).count());
}

void worker::run() {
    bool clients_started = false;
    bool slow_started = false;
    auto next_check = steady::now() + timeout_check_interval;
    std::array<epoll_event, events_per_wait> events{};
    while (!control_.quit.load(std::memory_order_relaxed)) {
        if (!slow_started && control_.slow_active.load()) {
            slow_started = true;
            start_roles(true);
        }
        if (!clients_started && control_.clients_active.load()) {
            clients_started = true;
            start_roles(false);
        }
        const int wait_ms = run_timers(steady::now());
        const int ready = ::epoll_wait(epoll_, events.data(), events_per_wait, clients_started ? wait_ms : 1);
        for (int i = 0; i < ready; ++i) {
            const auto& event = events[static_cast<std::size_t>(i)];
            static_cast<connection*>(event.data.ptr)->on_event(event.events, steady::now());
        }
        const auto now = steady::now();
        if (now >= next_check) {
            next_check = now + timeout_check_interval;
            for (const auto& c : connections_) c->check_timeout(now);
        }
    }
    conclude();
}

void worker::conclude() {
    // Counted in the window that was the last one.
    auto& last = windows_[control_.last_window.load()];
    for (const auto& c : connections_) {
        if (c->open()) ++open_at_end_[static_cast<std::size_t>(c->purpose())];
        if (c->purpose() == role::reader) client_bytes_.push_back(c->window_bytes());
        // A body that is not read to its end is judged by the part that was received.
        if (c->busy() && c->content_differs()) ++last.of(c->purpose()).failures["wrong content"];
    }
}

}  // namespace keepstore::bench
