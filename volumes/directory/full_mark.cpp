#include "volumes/directory/full_mark.hpp"

#include "base/log.hpp"
#include "base/text.hpp"
#include "volumes/directory/limits.hpp"

#include <fcntl.h>
#include <sys/statvfs.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <optional>

namespace keepstore::volumes::directory {
namespace {

constexpr const char* mark_name = "full";

std::int64_t steady_ticks() {
    return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::int64_t epoch_seconds() {
    return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

// The target of the mark, if there is one that has not expired.
std::optional<std::string> read_mark(int root) {
    std::array<char, 64> target{};
    const auto n = ::readlinkat(root, mark_name, target.data(), target.size());
    if (n <= 0) return std::nullopt;
    const std::string_view text(target.data(), static_cast<std::size_t>(n));
    const auto since = parse_number<std::int64_t>(text);
    if (!since || epoch_seconds() - *since >= std::chrono::seconds(limits::full_mark_lifetime).count())
        return std::nullopt;
    return std::string(text);
}

}  // namespace

bool full_mark::claim_refresh() noexcept {
    const auto now = steady_ticks();
    auto next = next_refresh_.load(std::memory_order_relaxed);
    return now >= next && next_refresh_.compare_exchange_strong(
                              next, now + std::chrono::nanoseconds(limits::full_mark_refresh).count());
}

bool full_mark::has_space() {
    if (!measure()) {
        log::error("cannot read the free space of the volume", {{"errno", errno}});
        return true;  // As the Go daemon does: a write without space fails.
    }
    return available_.load(std::memory_order_relaxed) >= free_bytes_min_;
}

bool full_mark::measure() noexcept {
    struct statvfs fs{};
    if (::fstatvfs(root_.fd(), &fs) != 0) return false;
    size_.store(fs.f_blocks * fs.f_frsize, std::memory_order_relaxed);
    available_.store(fs.f_bavail * fs.f_frsize, std::memory_order_relaxed);
    return true;
}

volume_stats::space_info full_mark::space() const noexcept {
    return {.size_bytes = size_.load(std::memory_order_relaxed),
            .available_bytes = available_.load(std::memory_order_relaxed)};
}

void full_mark::refresh() {
    const std::lock_guard lock(mutex_);
    const auto mark = read_mark(root_.fd());
    const bool space = has_space();
    if (mark && *mark == ours_) {
        if (space) {
            ::unlinkat(root_.fd(), mark_name, 0);
            ours_.clear();
            log::info("volume has space again");
        }
        full_ = !space;
    } else if (mark) {
        if (*mark != honoured_) {
            honoured_ = *mark;
            honoured_at_ = steady_ticks();
        }
        const auto age = steady_ticks() - honoured_at_;
        full_ = !space || age < std::chrono::nanoseconds(limits::full_mark_honoured).count();
    } else {
        if (!space) set_mark();
        full_ = !space;
    }
}

void full_mark::found_full() {
    const std::lock_guard lock(mutex_);
    full_ = true;
    next_refresh_ = steady_ticks() + std::chrono::nanoseconds(limits::full_mark_refresh).count();
    if (!read_mark(root_.fd())) set_mark();
}

void full_mark::set_mark() {
    const std::string target = std::to_string(epoch_seconds());
    ::unlinkat(root_.fd(), mark_name, 0);  // A stale one.
    // Without room for the link full_ still tells this daemon.
    if (::symlinkat(target.c_str(), root_.fd(), mark_name) == 0) ours_ = target;
    log::warning("volume is full");
}

}  // namespace keepstore::volumes::directory
