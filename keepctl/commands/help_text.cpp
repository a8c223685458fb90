#include "keepctl/commands/help_text.hpp"

#include "base/join.hpp"

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

const help_row place_forms[] = {
    {"keep:http[s]://HOST:PORT", "a server; #UUID after it: one of its mounts, for listings"},
    {"cluster", "all servers of the configuration, or those that are given"},
    {"volume:UUID", "a volume of the configuration, opened by keepctl itself"},
    {"dir:/PATH", "the root of a Directory volume; it must exist"},
    {"s3://BUCKET?endpoint=URL&region=R", "a bucket; also prefix-length=N, path-style=1, profile=NAME, ca-file=FILE"},
};

std::vector<std::string> wrapped(std::string_view text, std::size_t width) {
    std::vector<std::string> out(1);
    while (!text.empty()) {
        const auto word = text.substr(0, text.find(' '));
        text.remove_prefix(std::min(text.size(), word.size() + 1));
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

std::string upper_case(std::string text) {
    std::ranges::transform(text, text.begin(),
                           [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 0x20) : c; });
    return text;
}

std::string sentence_of(std::string text) {
    if (!text.empty() && text.front() >= 'a' && text.front() <= 'z')
        text.front() = static_cast<char>(text.front() - 0x20);
    return text + '.';
}

bool is_positional(const CLI::Option& option) {
    return option.get_snames().empty() && option.get_lnames().empty();
}

std::string usage_word(const CLI::Option& positional) {
    if (!positional.get_option_text().empty()) return positional.get_option_text();
    std::string out = upper_case(positional.get_name());
    if (positional.get_expected_max() >= CLI::detail::expected_max_vector_size) out += "...";
    return positional.get_required() ? out : "[" + out + "]";
}

std::string name_of(const CLI::Option& option) {
    std::vector<std::string> names;
    for (const auto& name : option.get_snames()) names.push_back("-" + name);
    for (const auto& name : option.get_lnames()) names.push_back("--" + name);
    const auto value = option.get_type_size() > 0 ? " " + option.get_type_name() : std::string();
    return join(names, ", ") + value;
}

std::vector<help_row> rows_of(const CLI::App& tree) {
    std::vector<help_row> out;
    for (const auto* command : tree.get_subcommands([](const CLI::App*) { return true; }))
        out.emplace_back(command->get_name(), command->get_description());
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
    bool has_place = false;
    for (const auto* o : command.get_options()) {
        has_place = has_place || o->get_type_name().starts_with("PLACE");
        if (!is_positional(*o)) continue;
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
        for (const auto* o : command.get_options()) {
            if (o->get_group() == group && !is_positional(*o)) rows.emplace_back(name_of(*o), o->get_description());
        }
        if (rows.empty()) continue;
        out += fmt::format("\n{}:\n", group);
        append_rows(out, rows);
    }
    if (!below.empty()) {
        out += "\nSubcommands:\n";
        append_rows(out, below);
    }
    if (has_place) {
        out += "\nA place is one of:\n";
        append_rows(out, place_forms);
    }
    return out;
}

}  // namespace keepstore::keepctl
