// The completions of shells; the manual page is in man_page.cpp.

#include "keepctl/commands/describe.hpp"

#include "base/join.hpp"
#include "keepctl/commands/command_words.hpp"

#include <fmt/format.h>

#include <vector>

namespace keepstore::keepctl {
namespace {

/// Text within single quotes of a shell.
std::string shell_quoted(std::string_view text) {
    std::string out = "'";
    for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
}

std::vector<std::string> words_of(const std::string& text) {
    const auto space = text.find(' ');
    if (space == std::string::npos) return {text};
    return {text.substr(0, space), text.substr(space + 1)};
}

std::string bash_script(const CLI::App& tree) {
    std::string groups;
    std::string cases;
    for (const auto* group : commands_of(tree)) {
        if (const auto below = names_of_commands(*group); !below.empty())
            groups += fmt::format("        {}) words={} ;;\n", group->get_name(), shell_quoted(join(below, " ")));
    }
    for (const auto* command : runnable_commands(tree)) {
        // A command is the first word or the first two.
        cases += fmt::format("        {}\\ *) words={} ;;\n", join(words_of(full_name(*command)), "\\ "),
                             shell_quoted(join(names_of_options(*command), " ")));
    }
    return fmt::format(R"(# bash completion of keepctl
_keepctl() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} words=
    if ((COMP_CWORD == 1)); then
        words={}
    elif [[ $word == -* ]]; then
        case "${{COMP_WORDS[1]}} ${{COMP_WORDS[2]}} " in
{}        esac
    elif ((COMP_CWORD == 2)); then
        case ${{COMP_WORDS[1]}} in
{}        esac
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}}
complete -o default -F _keepctl keepctl
)",
                       shell_quoted(fmt::format("{} --help --version", join(names_of_commands(tree), " "))), cases,
                       groups);
}

std::string zsh_script(const CLI::App& tree) {
    const auto item = [](std::string_view name, std::string_view text) {
        return shell_quoted(fmt::format("{}:{}", name, text));
    };
    std::string all;
    std::string groups;
    std::string cases;
    for (const auto* command : commands_of(tree)) {
        all += "        " + item(command->get_name(), command->get_description()) + '\n';
        std::string below;
        for (const auto* one : commands_of(*command))
            below += "                " + item(one->get_name(), one->get_description()) + '\n';
        if (!below.empty())
            groups += fmt::format("            {}) commands=(\n{}            ) ;;\n", command->get_name(), below);
    }
    for (const auto* command : runnable_commands(tree)) {
        cases += fmt::format("        {}\\ *) options=(\n", join(words_of(full_name(*command)), "\\ "));
        for (const auto* option : options_of(*command)) {
            for (const auto& name : names_of(*option))
                cases += "            " + item(name, option->get_description()) + '\n';
        }
        cases += "        ) ;;\n";
    }
    return fmt::format(R"(#compdef keepctl
_keepctl() {{
    local -a commands options
    commands=(
{}    )
    if ((CURRENT == 2)); then
        _describe command commands
        return
    fi
    case "$words[2] $words[3] " in
{}    esac
    if [[ $PREFIX == -* ]]; then
        _describe option options
        return
    fi
    commands=()
    if ((CURRENT == 3)); then
        case $words[2] in
{}        esac
    fi
    if ((#commands)); then
        _describe command commands
    else
        _files
    fi
}}
_keepctl "$@"
)",
                       all, cases, groups);
}

std::string fish_script(const CLI::App& tree) {
    std::string out = "# fish completion of keepctl\n";
    const auto add = [&](std::string_view condition, const CLI::App& command) {
        out += fmt::format("complete -c keepctl -n {} -f -a {} -d {}\n", condition, command.get_name(),
                           shell_quoted(command.get_description()));
    };
    for (const auto* group : commands_of(tree)) {
        add("__fish_use_subcommand", *group);
        const auto below = names_of_commands(*group);
        for (const auto* command : commands_of(*group))
            add(fmt::format("'__fish_seen_subcommand_from {}; and not __fish_seen_subcommand_from {}'",
                            group->get_name(), join(below, " ")),
                *command);
    }
    for (const auto* command : runnable_commands(tree)) {
        for (const auto* option : options_of(*command)) {
            std::string names;
            for (const auto& name : option->get_snames()) names += " -s " + name;
            for (const auto& name : option->get_lnames()) names += " -l " + name;
            out += fmt::format("complete -c keepctl -n '__fish_seen_subcommand_from {}'{}{} -d {}\n",
                               join(words_of(full_name(*command)), "; and __fish_seen_subcommand_from "), names,
                               takes_value(*option) ? " -r" : "", shell_quoted(option->get_description()));
        }
    }
    return out;
}

}  // namespace

std::optional<std::string> completion_script(std::string_view shell) {
    arguments ignored;
    const auto tree = make_command_tree(ignored);
    if (shell == "bash") return bash_script(*tree);
    if (shell == "zsh") return zsh_script(*tree);
    if (shell == "fish") return fish_script(*tree);
    return std::nullopt;
}

}  // namespace keepstore::keepctl
