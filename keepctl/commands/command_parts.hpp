/// What the descriptions of commands are made of: options with their checks, and the groups that many commands have.
/// For command_tree.cpp and the files of single commands.
#pragma once

#include "base/text.hpp"
#include "keepctl/commands/command_tree.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace keepstore::keepctl {

// Values of options. Each of these functions returns what is wrong, as the end of a sentence about the option, or an
// empty text; then `into` has the value.

template <class Number>
[[nodiscard]] std::string parse_count(const std::string& text, Number least, Number most, Number& into) {
    const auto parsed = parse_number<Number>(text);
    if (!parsed || *parsed < least || *parsed > most)
        return fmt::format("found \"{}\"; expected a number from {} to {}", text, least, most);
    into = *parsed;
    return {};
}
[[nodiscard]] std::string parse_time_limit(const std::string& text, std::optional<std::chrono::nanoseconds>& into);

/// Options are given once, unless they say otherwise.
CLI::Option* once(CLI::Option* option);
/// An option whose value `parse` reads; it returns what is wrong, or an empty text.
CLI::Option* add_parsed(CLI::App& app, const std::string& name, const std::string& value_name, const std::string& help,
                        std::function<std::string(const std::string&)> parse);
/// For such a `parse`: keeps a value, or says what is wrong with it.
template <class Value, class Into>
std::string keep_parsed(std::expected<Value, std::string> parsed, Into& into) {
    if (!parsed) return std::move(parsed.error());
    into = std::move(*parsed);
    return {};
}
CLI::Option* add_text(CLI::App& app, const std::string& name, const std::string& value_name, std::string& into,
                      const std::string& help);
/// May be given more than once.
CLI::Option* add_texts(CLI::App& app, const std::string& name, const std::string& value_name,
                       std::vector<std::string>& into, const std::string& help);
CLI::Option* add_switch(CLI::App& app, const std::string& name, bool& into, const std::string& help);
CLI::Option* add_place(CLI::App& app, const std::string& name, std::optional<place>& into, const std::string& help);
CLI::Option* add_blocks(CLI::App& app, arguments& a, const std::string& help);
/// `into` is a duration, or an optional one.
template <class Duration>
CLI::Option* add_duration(CLI::App& app, const std::string& name, Duration& into, const std::string& help) {
    return add_parsed(app, name, "DURATION", help, [&into](const std::string& text) {
        std::optional<std::chrono::nanoseconds> parsed;
        const auto problem = parse_time_limit(text, parsed);
        if (parsed) into = *parsed;
        return problem;
    });
}
/// One of these words.
CLI::Option* add_choice(CLI::App& app, const std::string& name, std::string& into, std::vector<std::string> values,
                        const std::string& help);
/// One of these words, which stand for values.
template <class Value>
CLI::Option* add_choice(CLI::App& app, const std::string& name, Value& into,
                        const std::vector<std::pair<std::string, Value>>& choices, const std::string& help) {
    return once(app.add_option(name, into, help)
                    ->type_name("HOW")
                    ->transform(CLI::CheckedTransformer(choices).description("")));
}

/// What every command has.
void add_output(CLI::App& app, arguments& a);
/// What speaks to servers, and add_output().
void add_connection(CLI::App& app, arguments& a);
void add_progress(CLI::App& app, arguments& a);
void add_jobs(CLI::App& app, arguments& a, const std::string& help);
void add_memory(CLI::App& app, arguments& a, const std::string& help);
/// --bandwidth, of at least `least` bytes per second.
void add_bandwidth(CLI::App& app, arguments& a, std::uint64_t least, const std::string& help);
void add_subset(CLI::App& app, arguments& a);
void add_prefix(CLI::App& app, arguments& a);
void add_only(CLI::App& app, arguments& a);
void add_replication(CLI::App& app, arguments& a, const std::string& help);
void add_digits(CLI::App& app, arguments& a, const std::string& what);
void add_metrics_file(CLI::App& app, arguments& a);
/// How work over whole indexes is cut.
void add_work(CLI::App& app, arguments& a);
/// What every run that takes long leaves and shows.
void add_state(CLI::App& app, arguments& a);
/// --give-up-after: how long a place may fail.
void add_give_up_after(CLI::App& app, arguments& a);
/// What commands that copy blocks have in common.
void add_run(CLI::App& app, arguments& a);

/// A command below `tree`, which is the root or a group.
CLI::App& add_command(CLI::App& tree, arguments& a, const std::string& name, const std::string& summary);

/// Commands that have a file of their own.
void add_replicate(CLI::App& tree, arguments& a);
void add_clone(CLI::App& tree, arguments& a);
void add_balance(CLI::App& tree, arguments& a);
void add_snapshot(CLI::App& tree, arguments& a);

}  // namespace keepstore::keepctl
