/// The command line: which commands and options there are, and what they mean (CLI11).
#pragma once

#include "keepctl/commands/arguments.hpp"

#include <span>
#include <string>
#include <variant>

namespace keepstore::keepctl {

/// A command line that does nothing further: help, the version, or an error.
struct parse_end {
    int exit_code;
    std::string text;  ///< For stdout if the exit code is 0, else for stderr.
};

[[nodiscard]] std::variant<arguments, parse_end> parse_arguments(std::span<const std::string> words);

}  // namespace keepstore::keepctl
