/// The CLI11 tree of all commands, for the parser, the man page and the completions.
#pragma once

#include "keepctl/commands/arguments.hpp"

#include <CLI/CLI.hpp>

#include <memory>

namespace keepstore::keepctl {

/// Parsing with it fills `into`, which outlives it.
[[nodiscard]] std::unique_ptr<CLI::App> make_command_tree(arguments& into);

}  // namespace keepstore::keepctl
