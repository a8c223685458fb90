#include "keepctl/commands/describe.hpp"

#include "base/join.hpp"
#include "keepctl/commands/command_tree.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace keepstore::keepctl {
namespace {

std::vector<const CLI::App*> commands_of(const CLI::App& tree) {
    return tree.get_subcommands([](const CLI::App*) { return true; });
}

std::vector<std::string> names_of_commands(const CLI::App& tree) {
    std::vector<std::string> out;
    for (const auto* command : commands_of(tree)) out.push_back(command->get_name());
    return out;
}

bool takes_value(const CLI::Option& option) {
    return option.get_type_size() > 0;
}

/// "--long" and "-s" names; none of a positional.
std::vector<std::string> names_of(const CLI::Option& option) {
    std::vector<std::string> out;
    for (const auto& name : option.get_snames()) out.push_back("-" + name);
    for (const auto& name : option.get_lnames()) out.push_back("--" + name);
    return out;
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

/// Text for roff: backslashes, hyphens, and control characters at the beginning of a line.
std::string roff(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '\\')
            out += "\\e";
        else if (c == '-')
            out += "\\-";
        else
            out += c;
    }
    return out.starts_with('.') || out.starts_with('\'') ? "\\&" + out : out;
}

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

std::string upper(std::string text) {
    std::ranges::transform(text, text.begin(),
                           [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 0x20) : c; });
    return text;
}

void append_command(std::string& out, const CLI::App& command, std::string_view level) {
    out += fmt::format(".{} {}\n{}.\n.PP\n.B keepctl {}\n[\\fIOPTIONS\\fR]", level, roff(full_name(command)),
                       roff(command.get_description()), roff(full_name(command)));
    for (const auto* p : positionals_of(command)) {
        out += p->get_required() ? fmt::format(" \\fI{}\\fR", roff(upper(p->get_name())))
                                 : fmt::format(" [\\fI{}\\fR]", roff(upper(p->get_name())));
    }
    out += '\n';
    for (const auto* p : positionals_of(command))
        out += fmt::format(".TP\n\\fI{}\\fR\n{}\n", roff(upper(p->get_name())), roff(p->get_description()));
    for (const auto* o : options_of(command)) {
        const auto value = takes_value(*o) ? fmt::format(" \\fI{}\\fR", roff(o->get_type_name())) : std::string();
        out +=
            fmt::format(".TP\n\\fB{}\\fR{}\n{}\n", roff(join(names_of(*o), ", ")), value, roff(o->get_description()));
    }
}

std::string bash_script(const CLI::App& tree) {
    std::string groups;
    std::string cases;
    for (const auto* group : commands_of(tree)) {
        if (const auto below = names_of_commands(*group); !below.empty())
            groups += fmt::format("        {}) words={} ;;\n", group->get_name(), shell_quoted(join(below, " ")));
    }
    for (const auto* command : runnable_commands(tree)) {
        std::vector<std::string> names;
        for (const auto* option : options_of(*command)) std::ranges::copy(names_of(*option), std::back_inserter(names));
        // A command is the first word or the first two.
        cases += fmt::format("        {}\\ *) words={} ;;\n", join(words_of(full_name(*command)), "\\ "),
                             shell_quoted(join(names, " ")));
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

std::optional<std::string> man_page(std::string_view only) {
    arguments ignored;
    const auto tree = make_command_tree(ignored);
    auto commands = runnable_commands(*tree);
    // A group is all of its commands.
    std::erase_if(commands, [&](const CLI::App* c) {
        return !only.empty() && full_name(*c) != only && !full_name(*c).starts_with(std::string(only) + ' ');
    });
    if (commands.empty()) return std::nullopt;
    std::string out = fmt::format(
        ".TH KEEPCTL 1 \"\" \"keepctl {}\" \"Keepstore\"\n.SH NAME\nkeepctl \\- look at keepstores, "
        "and copy blocks\n.SH SYNOPSIS\n.B keepctl\n\\fICOMMAND\\fR [\\fIOPTIONS\\fR] ...\n",
        KEEPSTORE_VERSION);
    if (only.empty()) {
        out += fmt::format(".SH DESCRIPTION\n{}\n.SH COMMANDS\n", roff(tree->get_description()));
        for (const auto* command : commands) append_command(out, *command, "SS");
    } else {
        for (const auto* command : commands) append_command(out, *command, "SH");
    }
    out +=
        ".SH PLACES\nkeep:http[s]://host:port[#UUID], cluster, volume:UUID, dir:/absolute/path, "
        "s3://bucket?endpoint=URL&region=R\n"
        ".SH EXIT STATUS\n0 done; 1 some blocks failed; 2 wrong command line or configuration; 3 nothing reached; 4 "
        "withheld "
        "for safety; 5 runs already; 6 not finished; 9 no change; 130, 143 signals\n"
        ".SH SEE ALSO\ndocs/keepctl.md\n";
    return out;
}

std::optional<std::string> completion_script(std::string_view shell) {
    arguments ignored;
    const auto tree = make_command_tree(ignored);
    if (shell == "bash") return bash_script(*tree);
    if (shell == "zsh") return zsh_script(*tree);
    if (shell == "fish") return fish_script(*tree);
    return std::nullopt;
}

}  // namespace keepstore::keepctl
