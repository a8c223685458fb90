#include "cluster_config/value.hpp"

#include <fmt/format.h>

#include <utility>

namespace keepstore::cluster_config {

using kind = config_value::kind;

config_value make_text(std::string text) {
    config_value value;
    value.type = kind::text;
    value.text = std::move(text);
    return value;
}

const config_value* config_value::find(std::string_view key) const {
    const auto found = entries.find(key);
    return found == entries.end() ? nullptr : &found->second;
}

config_value& config_value::make_map(std::string_view key) {
    config_value& map = entries[std::string(key)];
    map.type = kind::map;
    return map;
}

std::string describe(const config_value& value) {
    switch (value.type) {
        case kind::boolean: {
            const std::string_view name = value.boolean ? "true" : "false";
            if (value.text == name || value.text.empty()) return fmt::format("the boolean {}", name);
            return fmt::format("the boolean {} (written {})", name, value.text);
        }
        case kind::integer:
        case kind::real:
            return fmt::format("the number {}", value.text);
        case kind::text:
            return fmt::format("the text \"{}\"", value.text);
        default:
            return describe_kind(value);
    }
}

std::string describe_kind(const config_value& value) {
    switch (value.type) {
        case kind::null:
            return "nothing";
        case kind::boolean:
            return "a boolean";
        case kind::integer:
        case kind::real:
            return "a number";
        case kind::text:
            return "a text";
        case kind::list:
            return "a list";
        case kind::map:
            return "a map";
    }
    return "nothing";
}

}  // namespace keepstore::cluster_config
