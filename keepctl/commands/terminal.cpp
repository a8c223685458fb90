#include "keepctl/commands/terminal.hpp"

#include "base/text.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace keepstore::keepctl {
namespace {

std::string_view variable(const char* name) {
    const char* const value = std::getenv(name);
    return value ? value : "";
}

/// As setlocale() decides, without loading a locale: the first of these that is not empty.
bool is_utf8_locale() {
    for (const char* const name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
        const auto value = lower_case(variable(name));
        if (!value.empty()) return value.contains("utf-8") || value.contains("utf8");
    }
    return false;
}

bool is_continuation(unsigned char c) noexcept {
    return (c & 0xc0) == 0x80;
}

/// Bytes of the well-formed character at the beginning of the text; 0 if there is none (Unicode 15, table 3-7).
std::size_t character_bytes(std::string_view text) noexcept {
    const auto at = [&](std::size_t i) { return static_cast<unsigned char>(i < text.size() ? text[i] : 0); };
    const unsigned char first = at(0);
    if (first < 0x80) return 1;
    const std::size_t count = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4) return 0;
    for (std::size_t i = 1; i < count; ++i) {
        if (!is_continuation(at(i))) return 0;
    }
    const unsigned char second = at(1);
    const bool wrong = (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
                       (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f) ||
                       (first == 0xc2 && second < 0xa0);  // The last ones are control characters.
    return wrong ? 0 : count;
}

}  // namespace

bool can_overwrite_lines(int descriptor) {
    return ::isatty(descriptor) == 1 && variable("TERM") != "dumb" && !variable("TERM").empty();
}

text_style style_of(int descriptor, bool plain_colors) {
    return {.bold = !plain_colors && variable("NO_COLOR").empty() && can_overwrite_lines(descriptor),
            .ascii = !is_utf8_locale()};
}

std::string printable(std::string_view text, bool ascii) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const auto c = static_cast<unsigned char>(text.front());
        const auto count = character_bytes(text);
        const bool shown = count > 0 && c >= ' ' && c != 0x7f && !(ascii && count > 1);
        if (shown)
            out += text.substr(0, count);
        else
            out += '?';
        text.remove_prefix(std::max<std::size_t>(count, 1));
    }
    return out;
}

std::size_t columns_of(std::string_view text) noexcept {
    return static_cast<std::size_t>(
        std::ranges::count_if(text, [](char c) { return !is_continuation(static_cast<unsigned char>(c)); }));
}

}  // namespace keepstore::keepctl
