/// What the descriptions of commands are made of: options with their checks, and the groups that many commands have.
/// For command_tree.cpp and the descriptions of single commands.
#pragma once

#include "keepctl/commands/command_tree.hpp"
#include "keepctl/commands/option_values.hpp"

#include <functional>
#include <optional>
#include <string>

namespace keepstore::keepctl {

/// Options are given once, unless they say otherwise.
CLI::Option* once(CLI::Option* option);
/// An option whose value `parse` reads; it returns what is wrong, or an empty text.
CLI::Option* add_parsed(CLI::App& app, const std::string& name, const std::string& value_name, const std::string& help,
                        std::function<std::string(const std::string&)> parse);
CLI::Option* add_text(CLI::App& app, const std::string& name, const std::string& value_name, std::string& into,
                      const std::string& help);
CLI::Option* add_switch(CLI::App& app, const std::string& name, bool& into, const std::string& help);
CLI::Option* add_place(CLI::App& app, const std::string& name, std::optional<place>& into, const std::string& help);

/// What speaks to servers; what every command has.
void add_connection(CLI::App& app, arguments& a);
void add_output(CLI::App& app, arguments& a);
void add_progress(CLI::App& app, arguments& a);
/// A command below `tree`, which is the root or a group.
CLI::App& add_command(CLI::App& tree, arguments& a, const std::string& name, const std::string& summary);

/// The commands below `snapshot`.
void add_snapshot(CLI::App& tree, arguments& a);

}  // namespace keepstore::keepctl
