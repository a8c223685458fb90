#include "cluster_config/reader.hpp"

#include "cluster_config/scalars.hpp"

#include <fmt/format.h>

#include <optional>
#include <utility>

namespace keepstore::cluster_config {

using kind = config_value::kind;

void config_reader::read(std::string_view, const config_value& from, std::string& out) const {
    out = from.text;
}

void config_reader::read(std::string_view, const config_value& from, bool& out) const {
    out = from.boolean;
}

void config_reader::read(std::string_view, const config_value& from, std::int64_t& out) const {
    // 8.0 and 1e1 are whole numbers, too.
    out = from.type == kind::real ? static_cast<std::int64_t>(from.real) : from.integer;
}

void config_reader::read(std::string_view, const config_value& from, std::chrono::nanoseconds& out) const {
    // Of numbers only 0 needs no unit.
    const auto parsed = from.type == kind::text ? parse_duration(from.text) : std::nullopt;
    out = parsed.value_or(std::chrono::nanoseconds::zero());
}

void config_reader::read(std::string_view, const config_value& from, url& out) const {
    if (auto parsed = parse_url(from.text)) out = std::move(*parsed);
}

void config_reader::read(std::string_view key, const config_value& from, std::uint64_t& out) const {
    std::optional<std::uint64_t> bytes;
    if (from.type == kind::text)
        bytes = parse_byte_size(from.text);
    else if (from.type == kind::integer && from.integer >= 0)
        bytes = static_cast<std::uint64_t>(from.integer);
    else if (from.type == kind::real && from.real >= 0)
        bytes = static_cast<std::uint64_t>(from.real);
    if (!bytes) context_.fail(path(key), from, "a size such as 16KiB, or 0");
    out = *bytes;
}

void config_reader::read(std::string_view, const config_value& from, std::vector<std::string>& out) const {
    for (const auto& [name, entry] : from.entries) out.push_back(name);
    for (const auto& item : from.items) out.push_back(item.text);
}

url config_reader::key_url(const std::string& key) const {
    auto parsed = parse_url(key);
    if (!parsed)
        fail(key, fmt::format("found a key that is no URL ({}); expected one such as http://host.example:25107",
                              parsed.error()));
    return std::move(*parsed);
}

void config_reader::fail(std::string_view key, std::string_view text) const {
    const auto* value = find(key);
    context_.fail_text(path(key), value ? value->line : 0, text);
}

void config_reader::warn(std::string_view key, std::string_view text) const {
    context_.warnings.push_back(fmt::format("{}: {}", path(key), text));
}

}  // namespace keepstore::cluster_config
