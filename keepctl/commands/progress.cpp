#include "keepctl/commands/progress.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace keepstore::keepctl {
namespace {

void write_stderr(std::string_view text) {
    static_cast<void>(!::write(STDERR_FILENO, text.data(), text.size()));
}

bool is_terminal() {
    const char* const kind = std::getenv("TERM");
    return ::isatty(STDERR_FILENO) == 1 && (!kind || std::string_view(kind) != "dumb");
}

std::size_t terminal_width() {
    winsize size{};
    constexpr std::size_t usual = 80;
    return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : usual;
}

}  // namespace

std::string short_bytes(std::uint64_t bytes) {
    constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 1024 && unit + 1 < units.size()) {
        value /= 1024;
        ++unit;
    }
    return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, units[unit]);
}

progress::progress(progress_shape shape, bool quiet)
    : shape_(shape), next_(clock::now() + limits::progress_interval_lines) {
    if (shape_ == progress_shape::automatic) shape_ = is_terminal() ? progress_shape::line : progress_shape::plain;
    if (quiet) shape_ = progress_shape::none;
    if (shape_ == progress_shape::line || shape_ == progress_shape::json) next_ = clock::now();
}

void progress::show(std::string_view line, clock::time_point now) {
    if (shape_ == progress_shape::line) {
        next_ = now + limits::progress_interval_terminal;
        shown_ = true;
        write_stderr(fmt::format("\r\x1b[K{}", line.substr(0, terminal_width() - 1)));
        return;
    }
    next_ = now + (as_json() ? limits::progress_interval_json : limits::progress_interval_lines);
    write_stderr(fmt::format("{}\n", line));
}

void progress::clear() {
    if (shown_) write_stderr("\r\x1b[K");
    shown_ = false;
}

}  // namespace keepstore::keepctl
