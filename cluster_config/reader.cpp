#include "cluster_config/reader.hpp"

#include "cluster_config/scalars.hpp"

#include <fmt/format.h>

#include <optional>
#include <utility>

namespace keepstore::cluster_config {

using kind = config_value::kind;

void config_reader::read(std::string_view key, std::string& out) const {
    if (const auto* value = find(key)) out = value->text;
}

void config_reader::read(std::string_view key, bool& out) const {
    if (const auto* value = find(key)) out = value->boolean;
}

void config_reader::read(std::string_view key, std::int64_t& out) const {
    const auto* value = find(key);
    if (!value) return;
    // 8.0 and 1e1 are whole numbers, too.
    out = value->type == kind::real ? static_cast<std::int64_t>(value->real) : value->integer;
}

void config_reader::read(std::string_view key, std::chrono::nanoseconds& out) const {
    const auto* value = find(key);
    if (!value) return;
    // Of numbers only 0 needs no unit.
    const auto parsed = value->type == kind::text ? parse_duration(value->text) : std::nullopt;
    out = parsed.value_or(std::chrono::nanoseconds::zero());
}

void config_reader::read(std::string_view key, url& out) const {
    std::string text;
    read(key, text);
    if (text.empty()) return;
    if (auto parsed = parse_url(text)) out = std::move(*parsed);
}

void config_reader::read(std::string_view key, std::uint64_t& out) const {
    const auto* value = find(key);
    if (!value) return;
    std::optional<std::uint64_t> bytes;
    if (value->type == kind::text)
        bytes = parse_byte_size(value->text);
    else if (value->type == kind::integer && value->integer >= 0)
        bytes = static_cast<std::uint64_t>(value->integer);
    else if (value->type == kind::real && value->real >= 0)
        bytes = static_cast<std::uint64_t>(value->real);
    if (!bytes) context_.fail(path(key), *value, "a size such as 16KiB, or 0");
    out = *bytes;
}

void config_reader::read(std::string_view key, std::vector<std::string>& out) const {
    const auto* value = find(key);
    if (!value) return;
    out.clear();
    for (const auto& [name, entry] : value->entries) out.push_back(name);
    for (const auto& item : value->items) out.push_back(item.text);
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
