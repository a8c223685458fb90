#include "cluster_config/schema.hpp"

#include "base/text.hpp"
#include "cluster_config/error.hpp"
#include "cluster_config/scalars.hpp"
#include "cluster_config/url.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <sstream>

namespace keepstore::cluster_config {
namespace {

using kind = config_value::kind;

constexpr std::string_view other_keys =
#include "cluster_config/other_keys.inc"
    ;

schema_node& child(schema_node& node, std::string_view name) {
    if (name != "*") return node.named[std::string(name)];
    if (!node.any) node.any = std::make_shared<schema_node>();
    return *node.any;
}

/// Adds `entries` ("name:type name:type") at `path` below `node`; braces in the path fan out.
void add_line(schema_node& node, std::string_view path, const std::vector<std::string>& entries) {
    if (path.empty() || path == ".") {
        for (const auto& entry : entries) {
            const auto colon = entry.rfind(':');
            child(node, std::string_view(entry).substr(0, colon)).type = entry[colon + 1];
        }
        return;
    }
    std::string_view rest = path;
    const std::string_view head = take_part(rest, '.');
    if (!head.starts_with('{')) return add_line(child(node, head), rest, entries);
    for (std::string_view names = head.substr(1, head.size() - 2); !names.empty();)
        add_line(child(node, take_part(names, '|')), rest, entries);
}

/// What would be right, by type; nullptr when `value` is right.
const char* expectation(char type, const config_value& value) {
    const auto is_text = value.type == kind::text;
    const auto is_number = value.type == kind::integer || value.type == kind::real;
    const auto all_text = [](const auto& values, auto&& get) {
        return std::ranges::all_of(values, [&](const auto& v) { return get(v).type == kind::text; });
    };
    const auto self = [](const config_value& v) -> const config_value& { return v; };
    switch (type) {
        case 's':
            if (is_text) return nullptr;
            return is_number || value.type == kind::boolean ? "a text (put it in quotes)" : "a text";
        case 'w':
            return is_text || value.type == kind::boolean ? nullptr : "a text";
        case 'b':
            return value.type == kind::boolean ? nullptr : "true or false, without quotes";
        case 'i':
            if (value.type == kind::integer) return nullptr;
            // 8.0 and 1e1 are whole numbers for the Go loader too.
            if (value.type == kind::real && value.real == std::floor(value.real) && std::abs(value.real) < 9.2e18)
                return nullptr;
            return "a whole number, without quotes";
        case 'f':
            return is_number ? nullptr : "a number, without quotes";
        case 'd':
            if (value.type == kind::integer && value.integer == 0) return nullptr;
            if (is_text && parse_duration(value.text)) return nullptr;
            return is_number ? "a duration with its unit, such as 5m, 1h30m or 336h (missing unit "
                               "in duration)"
                             : "a duration such as 5m, 1h30m or 336h";
        case 'z':
        case 'p':
            if (value.type == kind::integer) return nullptr;
            if (value.type == kind::real && std::abs(value.real) < 9.2e18) return nullptr;
            if (is_text && parse_byte_size(value.text)) return nullptr;
            if (type == 'p' && is_text && value.text.ends_with('%')) {
                const auto share = resolve_plain_scalar(std::string_view(value.text).substr(0, value.text.size() - 1));
                if (share.type == kind::integer && share.integer >= 0 && share.integer <= 100) return nullptr;
                if (share.type == kind::real && share.real >= 0 && share.real <= 100) return nullptr;
            }
            return type == 'p' ? "a size such as 64MiB, or a share such as 10%" : "a size such as 64MiB";
        case 'u':
            return is_text && parse_url(value.text) ? nullptr : "a URL such as http://host.example:25107";
        case 'S':
            if (value.type == kind::map) return nullptr;
            return value.type == kind::list && all_text(value.items, self) ? nullptr : "a map whose keys are the names";
        case 'L':
            return value.type == kind::list && all_text(value.items, self) ? nullptr : "a list of texts";
        case 'M':
            if (value.type != kind::map) return "a map of texts";
            return all_text(value.entries, [](const auto& e) -> const config_value& { return e.second; })
                       ? nullptr
                       : "a map of texts (numbers and booleans must be in quotes)";
        case 'F':
        case 'm':
            return value.type == kind::map ? nullptr : "a map";
        default:
            return nullptr;
    }
}

void remove_nulls(config_value& value) {
    std::erase_if(value.entries, [](const auto& entry) { return entry.second.type == kind::null; });
    for (auto& [key, entry] : value.entries) remove_nulls(entry);
    for (auto& item : value.items) remove_nulls(item);
}

/// The schema of the entry `key`, or nullptr after a warning; then `discard` says whether the entry
/// is dropped.
const schema_node* find_entry(const schema_node& schema, std::string_view key, const std::string& path, bool& discard,
                              config_context& context) {
    if (const auto exact = schema.named.find(key); exact != schema.named.end()) return &exact->second;
    if (schema.any) return schema.any.get();
    std::string hint;
    for (const auto& [name, node] : schema.named) {
        if (!iequals(name, key)) continue;
        hint = fmt::format(" (perhaps you meant {}?)", name);
        discard = true;
    }
    context.warnings.push_back(fmt::format("deprecated or unknown config entry: {}{}", path, hint));
    return nullptr;
}

}  // namespace

schema_node other_services_schema() {
    schema_node root;
    std::istringstream lines{std::string(other_keys)};
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string path;
        if (!(words >> path)) continue;
        std::vector<std::string> entries;
        for (std::string entry; words >> entry;) entries.push_back(entry);
        add_line(root, path, entries);
    }
    return root;
}

bool names_a_secret(std::string_view path) {
    static constexpr std::array<std::string_view, 4> hints{"Token", "Key", "Secret", "assword"};
    const std::string_view last = path.substr(path.rfind('.') + 1);
    return std::ranges::any_of(hints, [&](std::string_view h) { return last.find(h) != std::string_view::npos; }) ||
           path.find("PostgreSQL.Connection") != std::string_view::npos;
}

void config_context::fail(std::string_view path, const config_value& found, std::string_view expected) const {
    const bool secret = names_a_secret(path);
    fail_text(path, found.line,
              fmt::format("found {}; expected {}", secret ? describe_kind(found) : describe(found), expected));
}

void config_context::fail_text(std::string_view path, int line, std::string_view text) const {
    const std::string where = line > 0 ? fmt::format("{}:{}", file, line) : file;
    throw config_error(path.empty() ? fmt::format("{}: {}", where, text)
                                    : fmt::format("{}: {}: {}", where, path, text));
}

void apply_schema(const schema_node& schema, config_value& value, const std::string& path, config_context& context) {
    remove_nulls(value);
    if (const char* expected = expectation(schema.type, value)) {
        if (value.is_map()) context.warnings.push_back(fmt::format("unexpected object in config entry: {}", path));
        context.fail(path, value, expected);
    }
    if (schema.type != 'm') return;

    for (auto entry = value.entries.begin(); entry != value.entries.end();) {
        const std::string entry_path = fmt::format("{}.{}", path, entry->first);
        if (schema.any && entry->first == "SAMPLE") {  // Documentation, never a real entry.
            entry = value.entries.erase(entry);
            continue;
        }
        bool discard = false;
        if (const auto* node = find_entry(schema, entry->first, entry_path, discard, context))
            apply_schema(*node, entry->second, entry_path, context);
        entry = discard ? value.entries.erase(entry) : std::next(entry);
    }
}

}  // namespace keepstore::cluster_config
