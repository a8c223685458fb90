#include "keepctl/commands/help_text.hpp"

#include "base/join.hpp"
#include "base/text.hpp"
#include "keepctl/commands/command_words.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace keepstore::keepctl {
namespace {

constexpr std::size_t help_width = 80;
// Names up to this column have their description in the same line.
constexpr std::size_t help_names_width = 28;

/// What stands at the left and the right of a line.
using help_row = std::pair<std::string, std::string>;

std::vector<std::string> wrapped(std::string_view text, std::size_t width) {
    std::vector<std::string> out(1);
    while (!text.empty()) {
        const auto word = take_part(text, ' ');
        if (!out.back().empty() && out.back().size() + 1 + word.size() > width) out.emplace_back();
        if (!out.back().empty()) out.back() += ' ';
        out.back() += word;
    }
    return out;
}

void append_rows(std::string& out, std::span<const help_row> rows) {
    std::size_t longest = 0;
    for (const auto& [name, text] : rows) {
        if (name.size() <= help_names_width) longest = std::max(longest, name.size());
    }
    const std::size_t column = longest + 4;
    for (const auto& [name, text] : rows) {
        std::string line = "  " + name;
        if (line.size() + 2 > column) {
            out += line + '\n';
            line.clear();
        }
        for (const auto& part : wrapped(text, help_width - column)) {
            line.resize(column, ' ');
            out += line + part + '\n';
            line.clear();
        }
    }
}

std::string sentence_of(std::string text) {
    if (!text.empty() && text.front() >= 'a' && text.front() <= 'z')
        text.front() = static_cast<char>(text.front() - 0x20);
    return text + '.';
}

std::string name_of(const CLI::Option& option) {
    const auto value = takes_value(option) ? " " + option.get_type_name() : std::string();
    return fmt::format("{}{}", join(names_of(option), ", "), value);
}

std::vector<help_row> rows_of(const CLI::App& tree) {
    std::vector<help_row> out;
    for (const auto* command : commands_of(tree)) out.emplace_back(command->get_name(), command->get_description());
    return out;
}

}  // namespace

std::string overview_text(const CLI::App& tree) {
    std::string out = "Usage: keepctl COMMAND [OPTIONS]\n\nCommands:\n";
    append_rows(out, rows_of(tree));
    out +=
        "\nExamples:\n"
        "  keepctl status                   the servers of /etc/arvados/config.yml\n"
        "  keepctl ls dir:/mnt/keep 3f      blocks of a directory\n"
        "  keepctl replicate dir:/mnt/keep 's3://backup?endpoint=https://s3.example'\n"
        "\nkeepctl COMMAND --help shows the options of a command.\n";
    return out;
}

std::string help_text(const CLI::App& command) {
    std::string out = fmt::format("Usage: keepctl {} [OPTIONS]", full_name(command));
    std::vector<help_row> positionals;
    for (const auto* o : positionals_of(command)) {
        out += ' ' + usage_word(*o);
        positionals.emplace_back(upper_case(o->get_name()), o->get_description());
    }
    const auto below = rows_of(command);
    out += below.empty() ? "\n\n" : " COMMAND\n\n";
    for (const auto& line : wrapped(sentence_of(command.get_description()), help_width)) out += line + '\n';
    if (!command.get_footer().empty()) out += '\n' + command.get_footer() + '\n';
    if (!positionals.empty()) {
        out += '\n';
        append_rows(out, positionals);
    }
    for (const auto& group : command.get_groups()) {
        std::vector<help_row> rows;
        for (const auto* o : options_of(command)) {
            if (o->get_group() == group) rows.emplace_back(name_of(*o), o->get_description());
        }
        if (rows.empty()) continue;
        out += fmt::format("\n{}:\n", group);
        append_rows(out, rows);
    }
    if (!below.empty()) {
        out += "\nSubcommands:\n";
        append_rows(out, below);
    }
    if (takes_place(command)) {
        std::vector<help_row> forms;
        for (const auto& [form, meaning] : place_forms()) forms.emplace_back(form, meaning);
        out += "\nA place is one of:\n";
        append_rows(out, forms);
    }
    return out;
}

}  // namespace keepstore::keepctl
