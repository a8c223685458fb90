#include "keepctl/balance/rules.hpp"

#include "base/text.hpp"
#include "cluster_config/scalars.hpp"
#include "cluster_config/value.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace keepstore::keepctl::balance {
namespace {

using cluster_config::config_value;

[[noreturn]] void wrong(const config_value& at, std::string_view text) {
    throw std::runtime_error(fmt::format("line {}: {}", at.line, text));
}

const config_value& expect_map(const config_value& value, std::string_view name) {
    if (!value.is_map()) wrong(value, fmt::format("{}: expected a map, found {}", name, describe(value)));
    return value;
}

std::int64_t read_number(const config_value& value, std::string_view name, std::int64_t least, std::int64_t most) {
    if (value.type != config_value::kind::integer || value.integer < least || value.integer > most) {
        wrong(value,
              fmt::format("{}: expected a whole number from {} to {}, found {}", name, least, most, describe(value)));
    }
    return value.integer;
}

const std::string& read_text(const config_value* value, const config_value& in, std::string_view name) {
    if (!value || value->type != config_value::kind::text || value->text.empty())
        wrong(value ? *value : in, fmt::format("servers: expected {}: TEXT", name));
    return value->text;
}

void read_desired(const config_value& map, rules& out) {
    out.desired.clear();
    for (const auto& [name, value] : expect_map(map, "desired").entries) {
        if (!is_class_name(name)) wrong(value, fmt::format("desired: \"{}\" is no name of a storage class", name));
        out.desired[name] =
            static_cast<std::uint32_t>(read_number(value, "desired." + name, 0, limits::balance_copies_max));
    }
    if (out.desired.size() > limits::balance_classes_max) wrong(map, "desired: too many storage classes");
}

void read_servers(const config_value& list, rules& out) {
    if (list.type != config_value::kind::list)
        wrong(list, fmt::format("servers: expected a list, found {}", describe(list)));
    out.identities.clear();
    for (const auto& item : list.items) {
        for (const auto& [name, value] : expect_map(item, "servers").entries) {
            if (name != "url" && name != "uuid") wrong(value, fmt::format("servers: unknown key \"{}\"", name));
        }
        auto url = read_text(item.find("url"), item, "url");
        while (url.ends_with('/')) url.pop_back();
        const auto& uuid = read_text(item.find("uuid"), item, "uuid");
        if (!out.identities.emplace(url, uuid).second) wrong(item, fmt::format("servers: {} is there twice", url));
    }
}

void read_limits(const config_value& map, rules& out) {
    struct {
        std::string_view name;
        std::int64_t* into;
        std::int64_t most;
    } const known[] = {{"pull_per_server", &out.pull_per_server, limits::balance_list_max},
                       {"trash_per_server", &out.trash_per_server, limits::balance_list_max},
                       {"trash_percent", &out.trash_percent, 100},
                       {"trash_percent_mount", &out.trash_percent_mount, 100},
                       {"shrink_percent", &out.shrink_percent, 100}};
    for (const auto& [name, value] : expect_map(map, "limits").entries) {
        const auto found = std::ranges::find_if(known, [&](const auto& k) { return k.name == name; });
        if (found == std::end(known)) wrong(value, fmt::format("limits: unknown key \"{}\"", name));
        *found->into = read_number(value, "limits." + name, 0, found->most);
    }
}

void read_age(const config_value& value, rules& out) {
    const auto age = value.type == config_value::kind::text ? cluster_config::parse_duration(value.text) : std::nullopt;
    if (!age || age->count() <= 0)
        wrong(value, fmt::format("references_max_age: expected a duration such as 24h, found {}", describe(value)));
    out.references_max_age = *age;
}

}  // namespace

bool is_class_name(std::string_view text) noexcept {
    return !text.empty() &&
           std::ranges::all_of(text, [](char c) { return is_alphanumeric(c) || c == '_' || c == '-' || c == '.'; });
}

std::expected<rules, std::string> parse_rules(std::string_view yaml, rules defaults) {
    try {
        const auto tree = cluster_config::parse_config_text(yaml);
        if (tree.type == config_value::kind::null) return defaults;
        for (const auto& [name, value] : expect_map(tree, "rules").entries) {
            if (name == "desired")
                read_desired(value, defaults);
            else if (name == "servers")
                read_servers(value, defaults);
            else if (name == "limits")
                read_limits(value, defaults);
            else if (name == "references_max_age")
                read_age(value, defaults);
            else
                wrong(value, fmt::format("unknown key \"{}\"; expected desired, servers, limits or "
                                         "references_max_age",
                                         name));
        }
        return defaults;
    } catch (const std::runtime_error& e) {
        return std::unexpected(std::string(e.what()));
    }
}

}  // namespace keepstore::keepctl::balance
