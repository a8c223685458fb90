/// What --help prints, from the CLI11 tree: usage, options in their groups, and what a place is. 80 columns, whatever
/// the terminal. Pure functions.
#pragma once

#include "keepctl/commands/command_tree.hpp"

#include <string>

namespace keepstore::keepctl {

/// Of the program: the list of commands, with examples.
[[nodiscard]] std::string overview_text(const CLI::App& tree);
/// Of a command, or of a group such as `snapshot`.
[[nodiscard]] std::string help_text(const CLI::App& command);

}  // namespace keepstore::keepctl
