/// The words with which commands and options are described, for --help, the man page and the completions: so that these
/// agree with each other and with the parser, whose tree they are taken from. Pure functions.
#pragma once

#include "keepctl/commands/command_tree.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::keepctl {

/// A name, and what it stands for.
struct described_word {
    std::string_view name;
    std::string_view meaning;
};

/// The forms of a place.
[[nodiscard]] std::span<const described_word> place_forms() noexcept;
/// Whether a positional argument or an option of the command is a place.
[[nodiscard]] bool takes_place(const CLI::App& command);

[[nodiscard]] std::string upper_case(std::string text);

/// Commands directly below, in order.
[[nodiscard]] std::vector<const CLI::App*> commands_of(const CLI::App& tree);
[[nodiscard]] std::vector<std::string> names_of_commands(const CLI::App& tree);
/// The commands that can be run, in order: for a group such as `snapshot` those below it.
[[nodiscard]] std::vector<const CLI::App*> runnable_commands(const CLI::App& tree);
/// "snapshot create"
[[nodiscard]] std::string full_name(const CLI::App& command);
/// Options that have a name, in order; positional arguments have none.
[[nodiscard]] std::vector<const CLI::Option*> options_of(const CLI::App& command);
[[nodiscard]] std::vector<const CLI::Option*> positionals_of(const CLI::App& command);

/// "-s" and "--long" names; none of a positional argument.
[[nodiscard]] std::vector<std::string> names_of(const CLI::Option& option);
/// Those of all options of a command.
[[nodiscard]] std::vector<std::string> names_of_options(const CLI::App& command);
[[nodiscard]] bool takes_value(const CLI::Option& option);
/// A positional argument in a usage line: "SOURCE", "[HASH...]".
[[nodiscard]] std::string usage_word(const CLI::Option& positional);

}  // namespace keepstore::keepctl
