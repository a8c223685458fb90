#include "protocol/work_lists.hpp"

#include "base/json.hpp"
#include "base/text.hpp"
#include "protocol/limits.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <optional>

namespace keepstore::protocol {
namespace {

using nlohmann::json;

// The first JSON value in `text`, which must be null or an array to be valid: bytes after it are ignored.
std::string_view first_value(std::string_view text) {
    const auto start = text.find_first_not_of(" \t\r\n");
    if (start == std::string_view::npos) return {};
    if (text.substr(start, 4) == "null") return text.substr(start, 4);
    int depth = 0;
    bool in_string = false;
    for (std::size_t i = start; i < text.size(); ++i) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\')
                ++i;
            else if (c == '"')
                in_string = false;
            continue;
        }
        if (c == '"') in_string = true;
        if (c == '[' || c == '{') {
            if (++depth > limits::work_list_depth_max) return {};
        }
        if ((c == ']' || c == '}') && --depth == 0) return text.substr(start, i + 1 - start);
    }
    return text.substr(start);
}

enum class take { taken, wrong_type, too_many };

// The known fields of an item. One that is null counts as absent, as in the Go daemon.
enum class field { none, locator, mount_uuid, servers, block_mtime };

field field_of(std::string_view name, const pull_item&) {
    if (iequals(name, "locator")) return field::locator;
    if (iequals(name, "mount_uuid")) return field::mount_uuid;
    return iequals(name, "servers") ? field::servers : field::none;
}
field field_of(std::string_view name, const trash_item&) {
    if (iequals(name, "locator")) return field::locator;
    if (iequals(name, "mount_uuid")) return field::mount_uuid;
    return iequals(name, "block_mtime") ? field::block_mtime : field::none;
}

template <class Item>
bool take_string(Item& item, field f, std::string& value) {
    if (f != field::locator && f != field::mount_uuid) return false;
    (f == field::locator ? item.locator : item.mount_uuid) = std::move(value);
    return true;
}
bool take_number(pull_item&, std::int64_t) {
    return false;
}
bool take_number(trash_item& item, std::int64_t value) {
    item.block_mtime = value;
    return true;
}
std::vector<std::string>* servers_of(pull_item& item) {
    return &item.servers;
}
std::vector<std::string>* servers_of(trash_item&) {
    return nullptr;
}

// Collects the items while the text is parsed: a JSON document of a million empty objects would take gigabytes. After
// an error in an item the rest is still parsed, since malformed JSON is reported first.
template <class Item>
class list_reader final : public nlohmann::json_sax<json> {
  public:
    std::vector<Item> items;
    std::optional<error> wrong;  ///< The first error in an item.
    bool too_large = false;      ///< `wrong` says why; parsing has ended.

    bool null() override {
        return value([] { return true; }, true);
    }
    bool boolean(bool) override {
        return value([] { return false; });
    }
    bool number_integer(number_integer_t v) override {
        return value([&] { return field_ == field::block_mtime && take_number(items.back(), v); });
    }
    bool number_unsigned(number_unsigned_t v) override {
        return value([&] {
            return field_ == field::block_mtime && v <= std::uint64_t{INT64_MAX} &&
                   take_number(items.back(), static_cast<std::int64_t>(v));
        });
    }
    bool number_float(number_float_t, const string_t&) override {
        return value([] { return false; });
    }
    bool binary(binary_t&) override {
        return value([] { return false; });
    }
    bool string(string_t& v) override {
        if (depth_ == in_servers && field_ == field::servers && servers_) return add_server(v);
        return value([&] { return take_string(items.back(), field_, v); });
    }
    bool start_object(std::size_t) override {
        if (depth_ == in_list) {
            if (items.size() == limits::work_list_items_max)
                return refuse(fmt::format("the list has more than {} items", limits::work_list_items_max));
            items.emplace_back();
            field_ = field::none;
        } else {
            value([] { return false; });
        }
        ++depth_;
        return true;
    }
    bool end_object() override {
        --depth_;
        return true;
    }
    bool start_array(std::size_t) override {
        if (depth_ == in_item && field_ == field::servers) {
            servers_ = servers_of(items.back());
            servers_->clear();
        } else if (depth_ > 0) {
            value([] { return false; });
        }
        ++depth_;
        return true;
    }
    bool end_array() override {
        if (--depth_ == in_item) servers_ = nullptr;
        return true;
    }
    bool key(string_t& name) override {
        if (depth_ == in_item) field_ = field_of(name, items.back());
        return true;
    }
    bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

  private:
    // What contains the next value.
    static constexpr int in_list = 1, in_item = 2, in_servers = 3;

    template <class Take>
    bool value(Take take, bool is_null = false) {
        if (depth_ == in_list)
            note("malformed list: expected an array of objects");
        else if (depth_ == in_item && field_ != field::none && !is_null && !take())
            note("malformed list: a field has the wrong type");
        else if (depth_ == in_servers && servers_)
            note("malformed list: a field has the wrong type");
        return true;
    }
    bool add_server(string_t& v) {
        if (servers_->size() == limits::pull_item_servers_max)
            return refuse(fmt::format("an item of the list has more than {} servers", limits::pull_item_servers_max));
        if (++servers_in_all_ > limits::work_list_items_max)
            return refuse(
                fmt::format("the items of the list have more than {} servers together", limits::work_list_items_max));
        servers_->push_back(std::move(v));
        return true;
    }
    void note(std::string_view text) {
        if (!wrong) wrong.emplace(errc::io_error, std::string(text));
    }
    bool refuse(std::string text) {
        wrong.emplace(errc::too_large, std::move(text));
        too_large = true;
        return false;
    }

    int depth_ = 0;
    field field_ = field::none;                    // Of the item that is being read.
    std::vector<std::string>* servers_ = nullptr;  // Within the list of servers of that item.
    std::size_t servers_in_all_ = 0;
};

// Malformed lists are errc::io_error: the Go daemon responds with 500 (docs/interface.md 2.16).
template <class Item>
result<std::vector<Item>> parse_list(std::string_view text) {
    const auto value = first_value(text);
    if (value == "null") return std::vector<Item>{};
    list_reader<Item> reader;
    const bool well_formed = json::sax_parse(value, &reader);
    if (reader.too_large) return std::unexpected(std::move(*reader.wrong));
    if (!well_formed) return fail(errc::io_error, "malformed JSON list");
    if (!value.starts_with('[')) return fail(errc::io_error, "malformed list: expected a JSON array");
    if (reader.wrong) return std::unexpected(std::move(*reader.wrong));
    return std::move(reader.items);
}

nlohmann::ordered_json as_json(const pull_item& item) {
    return {{"locator", item.locator}, {"servers", item.servers}, {"mount_uuid", item.mount_uuid}};
}
nlohmann::ordered_json as_json(const trash_item& item) {
    return {{"locator", item.locator}, {"block_mtime", item.block_mtime}, {"mount_uuid", item.mount_uuid}};
}

// Item by item: the whole list as a JSON document would take several times its memory.
template <class Item>
std::string encode_items(std::span<const Item> items) {
    std::string out = "[";
    for (const Item& item : items) {
        if (out.size() > 1) out += ",\n";
        out += json_to_text(as_json(item));
    }
    return out += "]";
}

}  // namespace

result<std::vector<pull_item>> parse_pull_list(std::string_view text) {
    auto list = parse_list<pull_item>(text);
    // The first item shows whether the sender is a balance tool too old to send sizes (docs/interface.md 2.16).
    if (list && !list->empty() && list->front().locator.size() == 32)
        return fail(errc::bad_request,
                    "rejecting pull list containing a locator without a size hint -- this probably means keep-balance "
                    "needs to be upgraded");
    return list;
}

result<std::vector<trash_item>> parse_trash_list(std::string_view text) {
    return parse_list<trash_item>(text);
}

std::string encode_list(std::span<const pull_item> items) {
    return encode_items(items);
}

std::string encode_list(std::span<const trash_item> items) {
    return encode_items(items);
}

}  // namespace keepstore::protocol
