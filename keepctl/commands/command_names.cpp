#include "keepctl/commands/command_tree.hpp"

namespace keepstore::keepctl {

std::vector<const CLI::App*> runnable_commands(const CLI::App& tree) {
    std::vector<const CLI::App*> out;
    for (const auto* command : tree.get_subcommands([](const CLI::App*) { return true; })) {
        const auto below = runnable_commands(*command);
        if (below.empty())
            out.push_back(command);
        else
            out.insert(out.end(), below.begin(), below.end());
    }
    return out;
}

std::string full_name(const CLI::App& command) {
    const auto* const above = command.get_parent();
    return above && above->get_parent() ? full_name(*above) + ' ' + command.get_name() : command.get_name();
}

}  // namespace keepstore::keepctl
