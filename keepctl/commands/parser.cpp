#include "keepctl/commands/parser.hpp"

#include "base/hex.hpp"
#include "base/join.hpp"
#include "base/md5_digest.hpp"
#include "base/text.hpp"
#include "keepctl/cluster/exit_code.hpp"
#include "keepctl/commands/command_tree.hpp"
#include "keepctl/commands/command_words.hpp"
#include "keepctl/commands/help_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ranges>
#include <string_view>
#include <utility>
#include <vector>

namespace keepstore::keepctl {
namespace {

constexpr int usage_code = static_cast<int>(exit_code::usage);

/// Levenshtein's distance.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = std::exchange(row[0], i);
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = std::exchange(row[j], std::min({changed, row[j] + 1, row[j - 1] + 1}));
        }
    }
    return row.back();
}

/// " (did you mean X?)", if one of the names is near enough.
std::string suggestion(std::string_view given, const std::vector<std::string>& names) {
    if (names.empty()) return {};
    const auto nearest = std::ranges::min(names, {}, [&](const std::string& name) { return distance(given, name); });
    return distance(given, nearest) <= std::max<std::size_t>(2, given.size() / 3)
               ? fmt::format("; did you mean {}?", nearest)
               : std::string();
}

/// Tells place and prefix of `ls` apart by their form. \returns what is wrong.
std::string take_words(arguments& out) {
    bool has_prefix = false;
    for (const auto& word : out.listed) {
        if (is_lower_hex(word) && word.size() <= 2 * sizeof(md5_digest)) {
            if (std::exchange(has_prefix, true)) return fmt::format("two prefixes: {} and {}", out.prefix, word);
            out.prefix = word;
            continue;
        }
        auto parsed = parse_place(word);
        if (!parsed) {
            // What has a scheme, or is a path, was meant as a place.
            if (word.find_first_of(":/") != std::string::npos) return parsed.error();
            return fmt::format(
                "\"{}\" is neither a prefix, at most 32 lower-case hex digits, nor a place, such as "
                "cluster or dir:/mnt/keep",
                word);
        }
        if (out.at) return fmt::format("two places: {} and {}", out.at->text, parsed->text);
        out.at = std::move(*parsed);
    }
    return {};
}

/// The chosen command or group, or nullptr.
const CLI::App* chosen(const CLI::App& tree) {
    const auto parsed = tree.get_subcommands();
    if (parsed.empty()) return nullptr;
    const auto* const below = chosen(*parsed.front());
    return below ? below : parsed.front();
}

/// What is wrong with the words that name the command; `group` is those before them.
std::string wrong_command(const CLI::App& tree, std::span<const std::string> words, const std::string& group) {
    const auto names = names_of_commands(tree);
    if (names.empty()) return {};
    if (words.empty()) return fmt::format("{} needs one of {}", group, join(names, ", "));
    const auto& word = words.front();
    if (word.starts_with('-')) return {};
    if (std::ranges::find(names, word) != names.end())
        return wrong_command(*tree.get_subcommand(word), words.subspan(1), word);
    return fmt::format("no command \"{}{}{}\"{}", group, group.empty() ? "" : " ", word, suggestion(word, names));
}

/// Most messages of CLI11 begin with the name of the argument, an option's with a dash.
std::string positional_in_capitals(std::string text) {
    if (text.empty() || !is_lower(text.front())) return text;
    const auto end = std::min(text.find_first_of(": "), text.size());
    return upper_case(text.substr(0, end)) + text.substr(end);
}

parse_end usage_error(const CLI::App& tree, std::string text) {
    const auto* const command = chosen(tree);
    return {usage_code,
            fmt::format("keepctl: {} (keepctl {}--help)\n", text, command ? full_name(*command) + " " : std::string())};
}

}  // namespace

std::variant<arguments, parse_end> parse_arguments(std::span<const std::string> words) {
    arguments out;
    out.words.assign(words.begin(), words.end());
    const auto tree = make_command_tree(out);
    if (words.empty()) return parse_end{usage_code, overview_text(*tree)};
    if (auto problem = wrong_command(*tree, words, {}); !problem.empty()) return usage_error(*tree, std::move(problem));
    // CLI11 takes them in reverse.
    std::vector<std::string> reversed(words.rbegin(), words.rend());
    try {
        tree->parse(std::move(reversed));
    } catch (const CLI::CallForHelp&) {
        const auto* const command = chosen(*tree);
        if (!command) return parse_end{0, overview_text(*tree)};
        return parse_end{0, help_text(*command)};
    } catch (const CLI::CallForVersion&) {
        return parse_end{0, "keepctl " KEEPSTORE_VERSION "\n"};
    } catch (const CLI::ExtrasError&) {
        const auto rest = tree->remaining(true);
        const std::string first = rest.empty() ? std::string() : rest.front();
        const auto* const command = chosen(*tree);
        const bool is_option = first.starts_with('-') && first.size() > 1;
        return usage_error(*tree, is_option && command
                                      ? fmt::format("{} has no option {}{}", full_name(*command), first,
                                                    suggestion(first, names_of_options(*command)))
                                      : fmt::format("unexpected argument \"{}\"", first));
    } catch (const CLI::ParseError& e) {
        return usage_error(*tree, positional_in_capitals(e.what()));
    }
    if (out.command == "get" && out.shape == output_shape::json && out.file.empty())
        return usage_error(*tree, "get writes the block to standard output; --json needs --output FILE");
    if (auto problem = take_words(out); !problem.empty()) return usage_error(*tree, std::move(problem));
    return out;
}

}  // namespace keepstore::keepctl
