#include "keepctl/commands/command_words.hpp"

#include <algorithm>
#include <iterator>

namespace keepstore::keepctl {
namespace {

constexpr described_word forms_of_places[] = {
    {"keep:http[s]://HOST:PORT", "a server; #UUID after it: one of its mounts, for listings"},
    {"cluster", "all servers of the configuration, or those that are given"},
    {"volume:UUID", "a volume of the configuration, opened by keepctl itself"},
    {"dir:/PATH", "the root of a Directory volume; it must exist"},
    {"s3://BUCKET?endpoint=URL&region=R", "a bucket; also prefix-length=N, path-style=1, profile=NAME, ca-file=FILE"},
};

}  // namespace

std::span<const described_word> place_forms() noexcept {
    return forms_of_places;
}

bool takes_place(const CLI::App& command) {
    return std::ranges::any_of(command.get_options(),
                               [](const CLI::Option* o) { return o->get_type_name().starts_with("PLACE"); });
}

std::string upper_case(std::string text) {
    std::ranges::transform(text, text.begin(),
                           [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 0x20) : c; });
    return text;
}

std::vector<const CLI::App*> commands_of(const CLI::App& tree) {
    return tree.get_subcommands([](const CLI::App*) { return true; });
}

std::vector<std::string> names_of_commands(const CLI::App& tree) {
    std::vector<std::string> out;
    for (const auto* command : commands_of(tree)) out.push_back(command->get_name());
    return out;
}

std::vector<const CLI::App*> runnable_commands(const CLI::App& tree) {
    std::vector<const CLI::App*> out;
    for (const auto* command : commands_of(tree)) {
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

std::vector<const CLI::Option*> options_of(const CLI::App& command) {
    std::vector<const CLI::Option*> out;
    for (const auto* option : command.get_options()) {
        if (!names_of(*option).empty()) out.push_back(option);
    }
    return out;
}

std::vector<const CLI::Option*> positionals_of(const CLI::App& command) {
    std::vector<const CLI::Option*> out;
    for (const auto* option : command.get_options()) {
        if (names_of(*option).empty()) out.push_back(option);
    }
    return out;
}

std::vector<std::string> names_of(const CLI::Option& option) {
    std::vector<std::string> out;
    for (const auto& name : option.get_snames()) out.push_back("-" + name);
    for (const auto& name : option.get_lnames()) out.push_back("--" + name);
    return out;
}

std::vector<std::string> names_of_options(const CLI::App& command) {
    std::vector<std::string> out;
    for (const auto* option : options_of(command)) std::ranges::copy(names_of(*option), std::back_inserter(out));
    return out;
}

bool takes_value(const CLI::Option& option) {
    return option.get_type_size() > 0;
}

std::string usage_word(const CLI::Option& positional) {
    if (!positional.get_option_text().empty()) return positional.get_option_text();
    std::string out = upper_case(positional.get_name());
    if (positional.get_expected_max() >= CLI::detail::expected_max_vector_size) out += "...";
    return positional.get_required() ? out : "[" + out + "]";
}

}  // namespace keepstore::keepctl
