/// The framing of a chunked body (RFC 9112 7.1), strict: CRLF line ends only, hex digits only, no space around the
/// size, bounded extensions and trailers, which are dropped.
///
///     chunk   = 1*HEXDIG [";" extension] CRLF  data CRLF
///     body    = *chunk  1*"0" [";" extension] CRLF  *trailer-line  CRLF
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace keepstore::net {

class chunk_decoder {
  public:
    enum class state { framing, data, done, bad };

    /// Takes framing from the front of `text` until data begins, the body ends or the text does.
    /// \returns how many characters were taken; now() says what follows.
    std::size_t take_framing(std::string_view text) noexcept;

    [[nodiscard]] state now() const noexcept { return state_; }
    /// Data bytes left in this chunk, in state data.
    [[nodiscard]] std::uint64_t data_left() const noexcept { return left_; }
    /// Counts data bytes (at most data_left()) that the caller has taken.
    void took_data(std::uint64_t count) noexcept;
    /// In state bad: the reason, also for the client (docs/interface.md 2.9).
    [[nodiscard]] std::string_view error_text() const noexcept { return error_; }

  private:
    enum class part {
        first_digit,
        size,
        extension,
        size_lf,
        data_cr,
        data_lf,
        line,
        trailer_name,
        trailer_value,
        trailer_lf,
        final_lf
    };

    void take(char c) noexcept;
    void expect(char c, char wanted, part next) noexcept;
    void fail(std::string_view text) noexcept;

    state state_ = state::framing;
    part part_ = part::first_digit;
    std::uint64_t left_ = 0;
    std::size_t line_bytes_ = 0;
    std::size_t trailer_bytes_ = 0;
    std::string_view error_;
};

}  // namespace keepstore::net
