#include "keepstore/work_lists.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>

namespace keepstore::core {
namespace {

using nlohmann::json;

// Nested deeper than any list can be; a parser stack is not worth an attack.
constexpr int depth_max = 16;

bool same_name(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

const json* field(const json& object, std::string_view name) {
    const json* found = nullptr;
    for (const auto& [key, value] : object.items())
        if (same_name(key, name) && !value.is_null()) found = &value;
    return found;
}

// The end of the first JSON value in `text`, which must be null or an array, so that what follows can be ignored.
std::string_view first_value(std::string_view text) {
    const auto start = text.find_first_not_of(" \t\r\n");
    if (start == std::string_view::npos) return {};
    if (text.substr(start, 4) == "null") return text.substr(start, 4);
    int depth = 0;
    bool in_string = false;
    for (std::size_t i = start; i < text.size(); ++i) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\') ++i;
            else if (c == '"') in_string = false;
            continue;
        }
        if (c == '"') in_string = true;
        if (c == '[' || c == '{') {
            if (++depth > depth_max) return {};
        }
        if ((c == ']' || c == '}') && --depth == 0) return text.substr(start, i + 1 - start);
    }
    return text.substr(start);
}

// All items, or errc::io_error: the Go daemon answers 500 to malformed lists (contract 2.10).
template <class Item, class Fill>
result<std::vector<Item>> parse_list(std::string_view text, Fill fill) {
    const auto value = json::parse(first_value(text), nullptr, false);
    if (value.is_discarded()) return fail(errc::io_error, "malformed JSON list");
    std::vector<Item> out;
    if (value.is_null()) return out;
    if (!value.is_array()) return fail(errc::io_error, "malformed list: expected a JSON array");
    out.reserve(value.size());
    for (const json& entry : value) {
        if (!entry.is_object()) return fail(errc::io_error, "malformed list: expected an array of objects");
        Item item;
        if (!fill(entry, item)) return fail(errc::io_error, "malformed list: a field has the wrong type");
        out.push_back(std::move(item));
    }
    return out;
}

bool take_string(const json& object, std::string_view name, std::string& into) {
    const json* const value = field(object, name);
    if (!value) return true;
    if (!value->is_string()) return false;
    into = value->get<std::string>();
    return true;
}

}  // namespace

result<std::vector<pull_item>> parse_pull_list(std::string_view text) {
    auto list = parse_list<pull_item>(text, [](const json& entry, pull_item& item) {
        if (!take_string(entry, "locator", item.locator) || !take_string(entry, "mount_uuid", item.mount_uuid)) return false;
        const json* const servers = field(entry, "servers");
        if (!servers) return true;
        if (!servers->is_array()) return false;
        for (const json& server : *servers) {
            if (!server.is_string()) return false;
            item.servers.push_back(server.get<std::string>());
        }
        return true;
    });
    // A sender that leaves sizes out is an outdated balance tool (contract 2.10); its first item tells.
    if (list && !list->empty() && list->front().locator.size() == 32)
        return fail(errc::bad_request,
                    "rejecting pull list containing a locator without a size hint -- this probably means keep-balance "
                    "needs to be upgraded");
    return list;
}

result<std::vector<trash_item>> parse_trash_list(std::string_view text) {
    return parse_list<trash_item>(text, [](const json& entry, trash_item& item) {
        if (!take_string(entry, "locator", item.locator) || !take_string(entry, "mount_uuid", item.mount_uuid)) return false;
        const json* const mtime = field(entry, "block_mtime");
        if (!mtime) return true;
        if (!mtime->is_number_integer()) return false;
        if (mtime->is_number_unsigned() && mtime->get<std::uint64_t>() > std::uint64_t{INT64_MAX}) return false;
        item.block_mtime = mtime->get<std::int64_t>();
        return true;
    });
}

}  // namespace keepstore::core
