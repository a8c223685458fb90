#include "cluster_config/flag_syntax.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace keepstore::cluster_config {
namespace {

std::optional<bool> parse_bool(std::string_view text) {
    for (const auto word : {"1", "t", "T", "true", "TRUE", "True"})
        if (text == word) return true;
    for (const auto word : {"0", "f", "F", "false", "FALSE", "False"})
        if (text == word) return false;
    return std::nullopt;
}

}  // namespace

std::expected<flags_read, std::string> read_flags(
    std::span<const flag> known, std::span<const std::string> arguments,
    const std::function<std::expected<void, std::string>(std::string_view, std::string_view)>& set) {
    flags_read out;
    std::size_t& at = out.rest;
    for (; at < arguments.size(); ++at) {
        const std::string& argument = arguments[at];
        if (argument.size() < 2 || argument[0] != '-') break;
        if (argument == "--") {
            ++at;
            break;
        }
        std::string_view name = std::string_view(argument).substr(argument[1] == '-' ? 2 : 1);
        if (name.empty() || name[0] == '-' || name[0] == '=')
            return std::unexpected(fmt::format("bad flag syntax: {}", argument));
        std::optional<std::string_view> value;
        if (const auto equals = name.find('='); equals != std::string_view::npos) {
            value = name.substr(equals + 1);
            name = name.substr(0, equals);
        }
        const auto found = std::ranges::find(known, name, &flag::name);
        if (found == known.end()) {
            if (name == "help" || name == "h") {
                out.help = true;
                return out;
            }
            return std::unexpected(fmt::format("flag provided but not defined: -{}", name));
        }
        if (found->boolean) {
            const auto parsed = value ? parse_bool(*value) : true;
            if (!parsed)
                return std::unexpected(fmt::format("invalid boolean value \"{}\" for -{}: parse error", *value, name));
            value = *parsed ? "true" : "false";
        } else if (!value) {
            if (++at == arguments.size()) return std::unexpected(fmt::format("flag needs an argument: -{}", name));
            value = arguments[at];
        }
        if (const auto taken = set(name, *value); !taken)
            return std::unexpected(fmt::format("invalid value \"{}\" for flag -{}: {}", *value, name, taken.error()));
    }
    return out;
}

std::string describe_flags(std::span<const flag> known) {
    std::string out = "Options:\n";
    for (const auto& f : known) out += fmt::format("  -{}{}\n    \t{}\n", f.name, f.boolean ? "" : " value", f.help);
    return out;
}

}  // namespace keepstore::cluster_config
