/// The CLI11 tree of all commands, for the parser, the man page and the completions.
#pragma once

#include "keepctl/commands/arguments.hpp"

#include <CLI/CLI.hpp>

#include <memory>
#include <string>
#include <vector>

namespace keepstore::keepctl {

/// Parsing with it fills `into`, which outlives it.
[[nodiscard]] std::unique_ptr<CLI::App> make_command_tree(arguments& into);

/// The commands that can be run, in order: for a group such as `snapshot` those below it.
[[nodiscard]] std::vector<const CLI::App*> runnable_commands(const CLI::App& tree);
/// "snapshot create"
[[nodiscard]] std::string full_name(const CLI::App& command);

}  // namespace keepstore::keepctl
