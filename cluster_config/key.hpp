/// The keys of a section, each declared once: its name, its type and bounds, the member that it fills, and its meaning.
/// The same row checks the type, decodes the value, refuses one out of bounds, makes the key known, and writes its line
/// of conf/keepstore.full.yml. The default is what the member is initialised with.
///
/// The tables: cluster_config/keys.cpp, and one for each volume driver in its folder below volumes/.
#pragma once

#include "base/join.hpp"
#include "cluster_config/config.hpp"
#include "cluster_config/error.hpp"
#include "cluster_config/reader.hpp"
#include "cluster_config/reference_writer.hpp"
#include "cluster_config/scalars.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <expected>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace keepstore::cluster_config {

/// The values that a number or a duration may have. T is std::int64_t or nanoseconds.
template <class T>
struct bounds {
    static constexpr bool is_time = std::is_same_v<T, nanoseconds>;
    static constexpr T lowest{std::numeric_limits<std::int64_t>::min()};
    static constexpr T highest{std::numeric_limits<std::int64_t>::max()};

    T min = lowest;
    T max = highest;
    bool clamps = false;        ///< Other values are taken for the nearest one; else they are refused.
    std::string expected = {};  ///< "0 (one per CPU) to 1024", for the error. Empty: made of min and max.

    /// Returns the value to take. \throws config_error that names the key.
    [[nodiscard]] T operator()(T value, const config_reader& in, std::string_view key) const {
        if (clamps) return std::clamp(value, min, max);
        if (value < min || value > max)
            in.fail(key, fmt::format("found {}; expected {}", found_text(value), expected_text()));
        return value;
    }

  private:
    [[nodiscard]] static std::string text(T value) {
        if constexpr (is_time)
            return value == T(0) ? "0" : format_duration(value);
        else
            return std::to_string(value);
    }
    [[nodiscard]] std::string found_text(T value) const {
        if (max != highest) return text(value);
        if (min == T(0)) return is_time ? "a negative duration" : "a negative number";
        return "less than " + text(min);
    }
    [[nodiscard]] std::string expected_text() const {
        if (!expected.empty()) return expected;
        return max == highest ? text(min) + " or more" : fmt::format("{} to {}", text(min), text(max));
    }
};

using count_bounds = bounds<std::int64_t>;
using time_bounds = bounds<nanoseconds>;

/// Calls that make a key known with this type, or as a map with any entries of this type. Compiled once.
[[nodiscard]] std::function<void(schema_node&)> declare_key(std::string_view name, char type);
[[nodiscard]] std::function<void(schema_node&)> declare_entries(std::string_view name, char type);

/// One row. `Section` is the structure that the keys of one map fill.
template <class Section>
struct key {
    std::string name;
    /// Makes the key known.
    std::function<void(schema_node& map)> declare;
    /// \throws config_error
    std::function<void(const config_reader&, Section&)> decode;
    /// Writes the key with the value in `shown`; `plain` has the default.
    std::function<void(reference_writer&, const Section& shown, const Section& plain)> write;

    /// The same key, which the reference does not show.
    [[nodiscard]] key hidden() && {
        write = [](reference_writer&, const Section&, const Section&) {};
        return std::move(*this);
    }
};

template <class Section>
using key_table = std::vector<key<Section>>;

template <class Section>
void declare_keys(const key_table<Section>& table, schema_node& map) {
    for (const auto& k : table) k.declare(map);
}
template <class Section>
void decode_keys(const key_table<Section>& table, const config_reader& in, Section& out) {
    for (const auto& k : table) k.decode(in, out);
}
template <class Section>
void write_keys(const key_table<Section>& table, reference_writer& to, const Section& shown,
                const Section& plain = Section{}) {
    for (const auto& k : table) k.write(to, shown, plain);
}

/// Words and what they stand for.
template <class T>
struct choices {
    std::vector<std::pair<std::string, T>> words;
    std::string expected;   ///< "auto, on or off"
    std::string what = {};  ///< "log level", for "(unknown log level)".
    bool any_case = false;
};

/// Makes rows. `Member` is a pointer to a member, or another function of the section that gives a reference.
template <class Section>
struct key_of {
    using row = key<Section>;
    using name_t = std::string_view;     ///< A literal: rows keep the view.
    using comment_t = std::string_view;  ///< A literal.

    template <class T>
    static T same(T value, const config_reader&, name_t) {
        return value;
    }

    /// `check` (value, reader, key) gives the value to take.
    template <class Member, class Check = decltype(&same<std::string>)>
    static row text(name_t name, Member member, comment_t comment, Check check = &same<std::string>) {
        return scalar<std::string>(name, 's', comment, member, check, yaml_text);
    }
    /// A text that is never written.
    template <class Member>
    static row secret(name_t name, Member member, comment_t comment) {
        return scalar<std::string>(name, 's', comment, member, same<std::string>,
                                   [](const auto&) { return std::string("\"\""); });
    }
    template <class Member>
    static row boolean(name_t name, Member member, comment_t comment) {
        return scalar<bool>(name, 'b', comment, member, same<bool>, [](bool v) { return v ? "true" : "false"; });
    }
    template <class Member>
    static row count(name_t name, Member member, count_bounds allowed, comment_t comment) {
        return scalar<std::int64_t>(name, 'i', comment, member, allowed,
                                    [](std::integral auto v) { return fmt::format("{}", v); });
    }
    template <class Member>
    static row duration(name_t name, Member member, time_bounds allowed, comment_t comment) {
        return scalar<nanoseconds>(name, 'd', comment, member, allowed, format_duration);
    }
    template <class Member>
    static row size(name_t name, Member member, comment_t comment) {
        return scalar<std::uint64_t>(name, 'z', comment, member, same<std::uint64_t>, yaml_size);
    }
    template <class Member>
    static row address(name_t name, Member member, comment_t comment) {
        return scalar<url>(name, 'u', comment, member, same<url>, yaml_url);
    }
    /// A set of names.
    template <class Member>
    static row names(name_t name, Member member, comment_t comment) {
        using list = std::vector<std::string>;
        return scalar<list>(name, 'S', comment, member, same<list>,
                            [](const list& v) { return v.empty() ? std::string("{}") : "[" + join(v, ", ") + "]"; });
    }
    /// One of some words. Of "on" and "off" the unquoted forms are booleans in YAML 1.1 and work, too.
    template <class T, class Member>
    static row choice(name_t name, Member member, choices<T> of, comment_t comment) {
        return {.name = std::string(name),
                .declare = declare_key(name, find_word(of, "on") != of.words.end() ? 'w' : 's'),
                .decode =
                    [name, member, of](const config_reader& in, Section& out) {
                        if (const auto* value = in.find(name)) std::invoke(member, out) = pick(of, *value, in, name);
                    },
                .write =
                    [name, member, of, comment](reference_writer& to, const Section& shown, const Section& plain) {
                        const auto word = [&](const Section& s) {
                            return std::ranges::find(of.words, std::invoke(member, s),
                                                     &std::pair<std::string, T>::second)
                                ->first;
                        };
                        to.value(name, word(shown), word(plain), comment);
                    }};
    }

    /// Keys below `name` that fill this section, too.
    static row group(name_t name, const key_table<Section>& table) { return section(name, std::identity(), table, ""); }

    /// A map with keys of its own.
    template <class Member, class Part>
    static row section(name_t name, Member member, const key_table<Part>& table, comment_t comment) {
        return {.name = std::string(name),
                .declare = [name, table](schema_node& map) { declare_keys(table, map.named[std::string(name)]); },
                .decode = [name, member, table](
                              const config_reader& in,
                              Section& out) { decode_keys<Part>(table, in.section(name), std::invoke(member, out)); },
                .write =
                    [name, member, table, comment](reference_writer& to, const Section& shown, const Section& plain) {
                        to.begin(name, comment);
                        write_keys<Part>(table, to, std::invoke(member, shown), std::invoke(member, plain));
                        to.end();
                    }};
    }

    /// A map whose names the operator chooses, texts or URLs, to maps with keys of their own.
    template <class Member, class Entry>
    static row map(name_t name, Member member, const key_table<Entry>& table, comment_t comment) {
        return {.name = std::string(name),
                .declare =
                    [name, table](schema_node& map) {
                        schema_node& names = map.named[std::string(name)];
                        if (!names.any) names.any = std::make_shared<schema_node>();
                        declare_keys(table, *names.any);
                    },
                .decode =
                    [name, member, table](const config_reader& in, Section& out) {
                        const config_reader below = in.section(name);
                        const auto* entries = in.find(name);
                        if (!entries) return;
                        auto& target = std::invoke(member, out);
                        for (const auto& [key, value] : entries->entries) {
                            if constexpr (std::is_same_v<std::decay_t<decltype(target.begin()->first)>, url>)
                                decode_keys(table, below.section(key), target[below.key_url(key)]);
                            else
                                decode_keys(table, below.section(key), target[key]);
                        }
                    },
                .write =
                    [name, member, table, comment](reference_writer& to, const Section& shown, const Section&) {
                        const auto& entries = std::invoke(member, shown);
                        if (to.brief() && entries.empty()) return;
                        to.begin(name, comment);
                        const bool brief = to.brief();
                        for (bool first = true; const auto& [key, value] : entries) {
                            if (!std::exchange(first, false)) {
                                to.between_entries();
                                to.set_brief(true);
                            }
                            to.begin(entry_name(key), "");
                            write_keys<Entry>(table, to, value);
                            to.end();
                        }
                        to.set_brief(brief);
                        to.end();
                    }};
    }

    /// A map of names that the operator chooses to true or false.
    template <class Member>
    static row flags(name_t name, Member member, comment_t comment) {
        return {.name = std::string(name),
                .declare = declare_entries(name, 'b'),
                .decode =
                    [name, member](const config_reader& in, Section& out) {
                        if (const auto* entries = in.find(name))
                            for (const auto& [key, value] : entries->entries)
                                std::invoke(member, out)[key] = value.boolean;
                    },
                .write =
                    [name, member, comment](reference_writer& to, const Section& shown, const Section&) {
                        to.begin(name, comment);
                        for (const auto& [key, value] : std::invoke(member, shown))
                            to.value(yaml_text(key), value ? "true" : "false",
                                     to.brief() ? ""
                                     : value    ? "true"
                                                : "false",
                                     "");
                        to.end();
                    }};
    }

  private:
    template <class T>
    static auto find_word(const choices<T>& of, std::string_view word) {
        return std::ranges::find(of.words, word, &std::pair<std::string, T>::first);
    }
    template <class T>
    static T pick(const choices<T>& of, const config_value& value, const config_reader& in, name_t key) {
        std::string word = value.type == config_value::kind::boolean ? (value.boolean ? "on" : "off") : value.text;
        if (of.any_case) word = lower_case(word);
        const auto found = find_word(of, word);
        if (found == of.words.end())
            in.fail(key, fmt::format("found \"{}\"{}; expected {}", value.text,
                                     of.what.empty() ? "" : fmt::format(" (unknown {})", of.what), of.expected));
        return found->second;
    }

    static std::string entry_name(const std::string& name) { return yaml_text(name); }
    static std::string entry_name(const url& name) { return yaml_url(name); }

    template <class To, class From>
    static To converted(From value) {
        if constexpr (std::is_same_v<To, From>)
            return value;
        else if constexpr (std::is_same_v<From, nanoseconds>)
            return std::chrono::ceil<To>(value);
        else
            return static_cast<To>(value);
    }

    /// `Value` is what the file has, `check` (value, reader, key) -> value, `show` makes YAML of the member.
    template <class Value, class Member, class Check, class Show>
    static row scalar(name_t name, char type, comment_t comment, Member member, Check check, Show show) {
        return {.name = std::string(name),
                .declare = declare_key(name, type),
                .decode =
                    [name, member, check](const config_reader& in, Section& out) {
                        auto& target = std::invoke(member, out);
                        const auto* const found = in.find(name);
                        if (!found) return;
                        Value value{};
                        in.read(name, *found, value);
                        target = converted<std::decay_t<decltype(target)>>(check(std::move(value), in, name));
                    },
                .write =
                    [name, member, show, comment](reference_writer& to, const Section& shown, const Section& plain) {
                        to.value(name, show(std::invoke(member, shown)), show(std::invoke(member, plain)), comment);
                    }};
    }
};

/// Decodes DriverParameters by a driver's table. `known` has the parameters of all drivers, which cause no warning.
/// \returns the error line for the first parameter that is wrong. `rule` (reader, options) may refuse combinations.
template <class Options>
[[nodiscard]] std::expected<Options, std::string> decode_parameters(
    const driver_section& from, const key_table<Options>& table, const schema_node& known,
    const std::type_identity_t<std::function<void(const config_reader&, Options&)>>& rule,
    std::vector<std::string>& warnings) {
    const std::string path = from.volume_path + ".DriverParameters";
    config_context context{from.file, warnings};
    schema_node schema = known;
    declare_keys(table, schema);
    config_value tree = from.parameters;
    try {
        apply_schema(schema, tree, path, context);
        const config_reader in(&tree, path, context);
        Options out;
        decode_keys(table, in, out);
        rule(in, out);
        return out;
    } catch (const config_error& e) {
        return std::unexpected(e.what());
    }
}

}  // namespace keepstore::cluster_config
