/// Parses the values of options. Each function returns what is wrong, as the end of a sentence about the option, or an
/// empty text; then `into` has the value. Pure, but for the clock.
#pragma once

#include "keepctl/commands/arguments.hpp"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <optional>
#include <string>

namespace keepstore::keepctl {

template <class Number>
[[nodiscard]] std::string parse_count(const std::string& text, Number least, Number most, Number& into) {
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), into);
    if (failed != std::errc() || end != text.data() + text.size() || into < least || into > most)
        return fmt::format("found \"{}\"; expected a number from {} to {}", text, least, most);
    return {};
}

[[nodiscard]] std::string parse_time_limit(const std::string& text, std::optional<std::chrono::nanoseconds>& into);
[[nodiscard]] std::string parse_prefix(const std::string& text, std::string& into);
[[nodiscard]] std::string parse_subset(const std::string& text, shard_subset& into);
[[nodiscard]] std::string parse_since(const std::string& text,
                                      std::optional<std::chrono::sys_time<std::chrono::nanoseconds>>& into);

}  // namespace keepstore::keepctl
