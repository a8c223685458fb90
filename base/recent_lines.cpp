#include "base/recent_lines.hpp"

#include <utility>

namespace keepstore {
namespace {

// Cuts between characters: a byte 10xxxxxx continues one.
void cut(std::string& text, std::size_t bytes_max) {
    if (text.size() <= bytes_max) return;
    std::size_t end = bytes_max;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
    text.resize(end);
    text += "\u2026";
    text.shrink_to_fit();
}

}  // namespace

void recent_lines::add(line l) {
    cut(l.request_id, limits::recent_line_id_bytes_max);
    cut(l.message, limits::recent_line_text_bytes_max);
    cut(l.details, limits::recent_line_text_bytes_max);
    const std::lock_guard lock(mutex_);
    ++total_;
    if (lines_.size() == lines_max_) lines_.pop_front();
    lines_.push_back(std::move(l));
}

std::vector<recent_lines::line> recent_lines::snapshot() const {
    const std::lock_guard lock(mutex_);
    return {lines_.rbegin(), lines_.rend()};
}

std::uint64_t recent_lines::total() const {
    const std::lock_guard lock(mutex_);
    return total_;
}

namespace log {

recent_lines& recent() {
    // Never destroyed: threads may log until the process ends.
    static recent_lines* const lines = new recent_lines;
    return *lines;
}

}  // namespace log
}  // namespace keepstore
