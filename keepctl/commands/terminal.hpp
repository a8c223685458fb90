/// What the terminal of a stream can show. Pure, but for the look at the descriptor and the environment.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace keepstore::keepctl {

/// How text for people is written.
struct text_style {
    bool bold = false;   ///< Escape sequences may be used.
    bool ascii = false;  ///< The character set is not UTF-8: other characters become question marks.
};

/// The style of what is written to this descriptor. No escape sequences with `plain_colors` (--no-color), $NO_COLOR,
/// TERM=dumb, or where there is no terminal.
[[nodiscard]] text_style style_of(int descriptor, bool plain_colors);

/// Whether the descriptor is a terminal that can move its cursor.
[[nodiscard]] bool can_overwrite_lines(int descriptor);

/// One line of text from anywhere: control characters, and bytes that are no UTF-8, become question marks.
[[nodiscard]] std::string printable(std::string_view text, bool ascii = false);

/// Characters of printable UTF-8 text, each counted as one column.
[[nodiscard]] std::size_t columns_of(std::string_view text) noexcept;

}  // namespace keepstore::keepctl
