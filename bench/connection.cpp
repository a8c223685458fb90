#include "bench/connection.hpp"

#include "bench/worker.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace keepstore::bench {

namespace {

using std::chrono::milliseconds;

// A rate-limited connection moves its bytes in steps of this time, or of one byte. Slow ones take
// longer steps of about step_bytes: ten thousand of them would otherwise keep a core busy with
// calls that move next to nothing.
constexpr double tick_seconds_min = 0.05;
constexpr double tick_seconds_max = 0.125;
constexpr double step_bytes = 16 * 1024;
// A connection that could not keep its rate does not catch up by more than this.
constexpr double budget_seconds_max = 0.25;
// A failed operation is not repeated at once: a refusing server would be all we measure.
constexpr milliseconds pause_after_failure{20};
constexpr milliseconds slow_pause_after_failure{1000};

std::chrono::nanoseconds seconds_to_ns(double seconds) {
    return std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * 1e9));
}

double tick_seconds_for(double rate) {
    return std::clamp(step_bytes / rate, tick_seconds_min, tick_seconds_max);
}

// What a server can have under way to a slow reader is in our control: the default would grow to
// megabytes. Two ticks' worth, so that the next step's bytes are there when their time comes.
int receive_buffer_for(double rate) {
    return static_cast<int>(std::clamp(rate * 2 * tick_seconds_for(rate), 4096.0, 1048576.0));
}

}  // namespace

connection::connection(worker& owner, role purpose, double bytes_per_second)
    : worker_(owner), purpose_(purpose), rate_(bytes_per_second), hash_(EVP_MD_CTX_new(), &EVP_MD_CTX_free) {}

connection::~connection() {
    close();
}

bool connection::is_client() const {
    return purpose_ == role::reader;
}

void connection::close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
    watched_ = 0;
}

void connection::watch(std::uint32_t events) {
    if (paced() || fd_ < 0 || watched_ == events) return;
    epoll_event event{};
    event.events = events;
    event.data.ptr = this;
    ::epoll_ctl(worker_.epoll(), watched_ == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd_, &event);
    watched_ = events;
}

// --- pacing
// -----------------------------------------------------------------------------------------------------

std::size_t connection::allowed(std::size_t wanted) const {
    return paced() ? std::min(wanted, static_cast<std::size_t>(budget_)) : wanted;
}

void connection::spend(std::size_t bytes) {
    if (paced()) budget_ -= static_cast<double>(bytes);
}

void connection::schedule_tick(steady::time_point now) {
    const auto interval = seconds_to_ns(std::max(tick_seconds_for(rate_), 1 / rate_));
    worker_.wake_at(this, std::max(now + interval, held_until_));
}

void connection::on_timer(steady::time_point now) {
    if (state_ == state::pausing) {
        begin(now);
    } else if (paced()) {
        const double elapsed =
            std::max(0.0, std::chrono::duration<double>(now - std::max(last_tick_, held_until_)).count());
        budget_ = std::min(budget_ + rate_ * elapsed, std::max(1.0, rate_ * budget_seconds_max));
    }
    last_tick_ = now;
    drive(now);
    if (paced() && busy()) schedule_tick(now);
}

// --- operations
// -------------------------------------------------------------------------------------------------

void connection::start(steady::time_point now) {
    last_tick_ = now;
    // Thousands of connections must not begin at the same moment, nor tick at the same one.
    const auto ramp = seconds_to_ns(std::max(worker_.control().options.ramp_seconds, paced() ? tick_seconds_min : 0.0));
    if (ramp.count() > 0) {
        state_ = state::pausing;
        worker_.wake_at(this, now + ramp * static_cast<int>(worker_.random() % 1000) / 1000);
        return;
    }
    begin(now);
    drive(now);
}

bool connection::choose_operation() {
    auto& control = worker_.control();
    const auto& options = control.options;
    bool again_known = false;
    if (is_client()) {
        if (control.draining.load(std::memory_order_relaxed)) return false;
        if (options.count > 0 && control.tickets.fetch_sub(1) <= 0) return false;
        again_known = options.mode == load_mode::reput;
        put_ = options.mode == load_mode::put || again_known ||
               (options.mode == load_mode::mixed && worker_.random() % 100 >= options.get_percent);
    } else {
        put_ = purpose_ == role::slow_writer;
    }

    if (put_ && !again_known) {
        const auto size = is_client() ? options.sizes.pick(worker_.random()) : options.slow_size;
        target_ = {.size = size, .number = control.next_number.fetch_add(1), .content_known = true};
    } else if (!control.catalog.empty()) {
        target_ = control.catalog[control.next_read.fetch_add(1) % control.catalog.size()];
    } else {
        target_ = {.locator = "_health/ping"};
    }

    const bool verify = options.body == body_use::verify && is_client() && !put_;
    hashing_ = verify && !target_.content_known;
    if (put_ || (verify && target_.content_known)) {
        content_ = control.content.make(target_.size, target_.number);
    }
    if (put_) {
        request_ = control.format.put(content_.md5, target_.size);
    } else if (options.range_bytes > 0 && is_client()) {
        expected_bytes_ = std::min(options.range_bytes, target_.size);
        first_offset_ = worker_.random() % (target_.size - expected_bytes_ + 1);
        request_ = control.format.get_range(target_.locator, first_offset_, first_offset_ + expected_bytes_ - 1);
    } else {
        expected_bytes_ = target_.size;
        first_offset_ = 0;
        request_ = control.format.get(target_.locator);
    }
    if (hashing_) EVP_DigestInit_ex(hash_.get(), EVP_md5(), nullptr);
    return true;
}

bool connection::begin(steady::time_point now) {
    state_ = state::idle;
    if (!choose_operation()) return false;
    now = steady::now();  // The first hash of a process takes OpenSSL a millisecond to prepare.
    request_sent_ = 0;
    body_sent_ = 0;
    head_text_.clear();
    head_ = {};
    body_received_ = 0;
    body_text_.clear();
    content_differs_ = false;
    must_close_ = false;
    started_ = now;
    first_byte_ = {};
    if (paced() && worker_.control().options.hold_seconds > 0) {
        held_until_ = now + seconds_to_ns(worker_.control().options.hold_seconds);
        budget_ = 0;
    }
    state_ = state::sending;
    if (fd_ < 0) {
        auto options = worker_.control().options.socket;
        if (paced() && !put_ && options.receive_buffer_bytes == 0) {
            options.receive_buffer_bytes = receive_buffer_for(rate_);
        }
        options.source = worker_.next_source();
        fd_ = connect_socket(worker_.control().options.server, options);
        fresh_ = true;
        if (fd_ < 0) {
            finish(std::string("connect: ") + std::strerror(errno), now);
            return false;
        }
    }
    return true;
}

void connection::finish(const std::string& failure, steady::time_point now) {
    auto& control = worker_.control();
    const auto group = is_client() && put_ ? role::writer : purpose_;
    if (auto* const window = worker_.current(); window != nullptr) {
        auto& stats = window->of(group);
        if (failure.empty()) {
            ++stats.good;
            auto& latency = stats.by_size[static_cast<std::size_t>(class_of(put_ ? target_.size : expected_bytes_))];
            latency.whole.record(now - started_);
            latency.first_byte.record(first_byte_ - started_);
        } else {
            ++stats.failures[failure];
            if (stats.failure_example.empty()) stats.failure_example = body_text_;
        }
    }
    if (is_client()) {
        control.last_completion.store(now.time_since_epoch().count(), std::memory_order_relaxed);
        control.completed.fetch_add(1);
        if (put_ && failure.empty() && control.collect) {
            // The reply is the locator, signed if the server signs; another server's empty reply
            // leaves hash and size.
            auto line = body_text_.substr(0, body_text_.find_first_of("\r\n"));
            if (!line.starts_with(content_.md5)) line = content_.md5 + '+' + std::to_string(target_.size);
            auto stored = target_;
            stored.locator = std::move(line);
            const std::lock_guard lock(control.collected_mutex);
            control.collected.push_back(std::move(stored));
        }
    }
    if (must_close_ || head_.close) close();
    if (!failure.empty()) {
        state_ = state::pausing;
        worker_.wake_at(this, now + (is_client() ? pause_after_failure : slow_pause_after_failure));
    } else if (purpose_ == role::idle) {
        state_ = state::idle;
        watch(EPOLLIN);
    } else {
        begin(now);
    }
}

void connection::check_timeout(steady::time_point now) {
    const auto limit = seconds_to_ns(worker_.control().options.operation_timeout_seconds);
    if (!is_client() || !busy() || now - started_ < limit) return;
    must_close_ = true;
    finish("timeout", now);
}

void connection::count_body(role group, std::size_t bytes) {
    auto* const window = worker_.current();
    if (window == nullptr) return;
    window->of(group).body_bytes += bytes;
    if (window != window_) window_bytes_ = 0;
    window_ = window;
    window_bytes_ += bytes;
}

// --- moving bytes
// -----------------------------------------------------------------------------------------------

void connection::on_event(std::uint32_t events, steady::time_point now) {
    if (state_ == state::idle || state_ == state::pausing) {
        char byte = 0;
        if (fd_ < 0 || ::recv(fd_, &byte, 1, MSG_DONTWAIT | MSG_PEEK) > 0) return;
        if (errno == EAGAIN && (events & (EPOLLHUP | EPOLLERR)) == 0) return;
        close();
        auto* const window = worker_.current();
        if (purpose_ == role::idle && window != nullptr) {
            ++window->of(role::idle).failures["closed by the server"];
        }
        return;
    }
    // A reply before the request is sent is a refusal.
    if (state_ == state::sending && (events & EPOLLIN) != 0) read_head(now);
    drive(now);
}

}  // namespace keepstore::bench
