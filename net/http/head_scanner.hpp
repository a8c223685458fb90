/// Finds the end of a head (RFC 9112 2.1) in bytes that arrive piece by piece. Strict about line ends, since leniency
/// is how two parties come to read one byte stream differently.
#pragma once

#include <cstddef>
#include <cstring>
#include <string_view>

namespace keepstore::net {

class head_scanner {
  public:
    enum class state {
        incomplete,
        complete,
        malformed,  ///< A line end that is not CRLF, or an empty first line.
    };

    /// `text` is everything since the head's first byte; only what is new is looked at.
    [[nodiscard]] state scan(std::string_view text) noexcept {
        while (position_ < text.size()) {
            const auto* found =
                static_cast<const char*>(std::memchr(text.data() + position_, '\n', text.size() - position_));
            if (!found) {
                position_ = text.size();
                break;
            }
            const auto at = static_cast<std::size_t>(found - text.data());
            if (at == 0 || text[at - 1] != '\r') return state::malformed;
            const bool empty_line = at - line_start_ == 1;
            position_ = at + 1;
            if (empty_line) return line_start_ == 0 ? state::malformed : state::complete;
            line_start_ = position_;
        }
        return state::incomplete;
    }
    /// Length of the head with its final CRLFCRLF, once complete.
    [[nodiscard]] std::size_t length() const noexcept { return position_; }
    void reset() noexcept { *this = head_scanner(); }

  private:
    std::size_t position_ = 0;
    std::size_t line_start_ = 0;
};

}  // namespace keepstore::net
