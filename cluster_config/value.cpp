#include "cluster_config/value.hpp"

#include "base/limits.hpp"
#include "cluster_config/error.hpp"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>
#include <nlohmann/json.hpp>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>
#include <sstream>
#include <unordered_map>
#include <utility>

namespace keepstore::cluster_config {
namespace {

using kind = config_value::kind;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/// Go's strconv.ParseInt(text, 0, 64), extended by what ParseUint would take: sign, then 0x, 0o,
/// 0b, a leading 0 for octal, or decimal. Values over int64 come back as a real.
std::optional<config_value> resolve_integer(std::string_view digits) {
    const bool negative = digits.starts_with('-');
    if (negative || digits.starts_with('+')) digits.remove_prefix(1);
    int base = 10;
    if (digits.size() > 1 && digits[0] == '0') {
        const char marker = static_cast<char>(digits[1] | 0x20);
        base = marker == 'x' ? 16 : marker == 'b' ? 2 : 8;
        digits.remove_prefix(marker == 'x' || marker == 'b' || marker == 'o' ? 2 : 1);
    }
    if (digits.empty()) return std::nullopt;
    std::uint64_t magnitude = 0;
    const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), magnitude, base);
    if (code != std::errc() || end != digits.data() + digits.size()) return std::nullopt;

    constexpr auto positive_max = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    config_value value;
    if (magnitude <= positive_max + (negative ? 1 : 0)) {
        value.type = kind::integer;
        value.integer = static_cast<std::int64_t>(negative ? 0 - magnitude : magnitude);
    } else {
        value.type = kind::real;
        value.real = negative ? -static_cast<double>(magnitude) : static_cast<double>(magnitude);
    }
    return value;
}

/// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
bool looks_like_real(std::string_view text) {
    std::size_t at = 0;
    const auto digits = [&] {
        const std::size_t from = at;
        while (at < text.size() && is_digit(text[at])) ++at;
        return at - from;
    };
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    const std::size_t before = digits();
    std::size_t after = 0;
    if (at < text.size() && text[at] == '.') {
        ++at;
        after = digits();
    }
    if (before + after == 0) return false;
    if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
        ++at;
        if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
        if (digits() == 0) return false;
    }
    return at == text.size();
}

std::optional<config_value> resolve_word(std::string_view word) {
    static const std::unordered_map<std::string_view, bool> booleans{
        {"y", true},    {"Y", true},      {"yes", true},    {"Yes", true},   {"YES", true},  {"on", true},
        {"On", true},   {"ON", true},     {"true", true},   {"True", true},  {"TRUE", true}, {"n", false},
        {"N", false},   {"no", false},    {"No", false},    {"NO", false},   {"off", false}, {"Off", false},
        {"OFF", false}, {"false", false}, {"False", false}, {"FALSE", false}};
    config_value value;
    if (word.empty() || word == "~" || word == "null" || word == "Null" || word == "NULL") return value;
    if (const auto found = booleans.find(word); found != booleans.end()) {
        value.type = kind::boolean;
        value.boolean = found->second;
        return value;
    }
    const std::string_view unsigned_word = word.substr(word[0] == '+' || word[0] == '-' ? 1 : 0);
    if (unsigned_word == ".inf" || unsigned_word == ".Inf" || unsigned_word == ".INF") {
        value.type = kind::real;
        value.real = word[0] == '-' ? -HUGE_VAL : HUGE_VAL;
        return value;
    }
    if (word == ".nan" || word == ".NaN" || word == ".NAN") {
        value.type = kind::real;
        value.real = std::nan("");
        return value;
    }
    return std::nullopt;
}

config_value make_text(std::string text) {
    config_value value;
    value.type = kind::text;
    value.text = std::move(text);
    return value;
}

/// Memory that a value and everything below it takes, roughly.
std::size_t expanded_bytes(const config_value& value) {
    std::size_t sum = sizeof(config_value) + value.text.size();
    for (const auto& item : value.items) sum += expanded_bytes(item);
    for (const auto& [key, entry] : value.entries) sum += key.size() + expanded_bytes(entry);
    return sum;
}

[[noreturn]] void fail_at(int line, std::string_view what) {
    throw config_error(line > 0 ? fmt::format("line {}: {}", line, what) : std::string(what));
}

/// Builds the tree from a parser's events. Both parsers (YAML and JSON) feed it, so that both obey
/// the same limits.
class tree_builder {
  public:
    void scalar(config_value value) { finish(std::move(value), 0); }

    void begin(kind type, int line, std::size_t anchor) {
        if (stack_.size() >= limits::config_depth_max)
            fail_at(line, fmt::format("nested deeper than {} levels", limits::config_depth_max));
        frame next;
        next.value.type = type;
        next.value.line = line;
        next.anchor = anchor;
        stack_.push_back(std::move(next));
    }

    void end() {
        frame done = std::move(stack_.back());
        stack_.pop_back();
        finish(std::move(done.value), done.anchor);
    }

    /// `plain` says whether the key was written without quotes: only then is "<<" a merge key.
    void key(config_value value, bool plain) {
        frame& top = stack_.back();
        top.key = key_text(value);
        top.merge = plain && value.type == kind::text && value.text == "<<";
        top.have_key = true;
    }

    void finish(config_value value, std::size_t anchor) {
        spend(sizeof(config_value) + value.text.size(), value.line);
        if (anchor != 0) {
            spend(expanded_bytes(value), value.line);
            anchors_.insert_or_assign(anchor, value);
        }
        if (stack_.empty()) {
            root_ = std::move(value);
            return;
        }
        frame& top = stack_.back();
        if (top.value.type == kind::list) {
            top.value.items.push_back(std::move(value));
        } else if (!std::exchange(top.have_key, false)) {
            key(std::move(value), last_plain_);
        } else if (top.merge) {
            merge(top.value, value);
        } else {
            top.value.entries.insert_or_assign(std::move(top.key), std::move(value));
        }
    }

    /// Whether the scalar that comes next is unquoted; matters when it is a key.
    void set_plain(bool plain) { last_plain_ = plain; }

    const config_value& anchored(std::size_t anchor, int line) {
        const auto found = anchors_.find(anchor);
        if (found == anchors_.end()) fail_at(line, "an alias refers to the value that contains it");
        spend(expanded_bytes(found->second), line);
        return found->second;
    }

    config_value take_root() { return std::move(root_); }

  private:
    struct frame {
        config_value value;
        std::size_t anchor = 0;
        std::string key;
        bool have_key = false;
        bool merge = false;
    };

    void spend(std::size_t bytes, int line) {
        spent_ += bytes;
        if (spent_ > limits::config_expanded_bytes_max)
            fail_at(line, "the document expands to an unreasonable size (aliases of aliases?)");
    }

    /// Keys that are not text get the name that the Go loader gives them when it turns YAML into
    /// JSON.
    static std::string key_text(const config_value& value) {
        switch (value.type) {
            case kind::text:
                return value.text;
            case kind::boolean:
                return value.boolean ? "true" : "false";
            case kind::integer:
                return fmt::format("{}", value.integer);
            case kind::real:
                return fmt::format("{}", value.real);
            default:
                fail_at(value.line, fmt::format("{} cannot be a key", describe_kind(value)));
        }
    }

    /// `<<: *a` and `<<: [*a, *b]`. As in the Go loader's library the entries are taken over where
    /// the merge key stands, so that keys written after it win and keys written before it lose; of
    /// a list the earlier map wins.
    static void merge(config_value& into, const config_value& from) {
        if (from.type == kind::map) {
            for (const auto& [name, entry] : from.entries) into.entries.insert_or_assign(name, entry);
            return;
        }
        if (from.type != kind::list) fail_at(from.line, "the merge key << needs a map or a list of maps");
        for (auto item = from.items.rbegin(); item != from.items.rend(); ++item) {
            if (item->type != kind::map) fail_at(item->line, "the merge key << needs a map or a list of maps");
            merge(into, *item);
        }
    }

    std::vector<frame> stack_;
    std::unordered_map<std::size_t, config_value> anchors_;
    config_value root_;
    std::size_t spent_ = 0;
    bool last_plain_ = false;
};

class yaml_events final : public YAML::EventHandler {
  public:
    explicit yaml_events(tree_builder& tree) : tree_(tree) {}

    void OnDocumentStart(const YAML::Mark&) override {}
    void OnDocumentEnd() override {}

    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        config_value value;
        value.line = mark.line + 1;
        tree_.set_plain(true);
        tree_.finish(std::move(value), anchor);
    }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        config_value value = tree_.anchored(anchor, mark.line + 1);
        tree_.set_plain(false);
        tree_.finish(std::move(value), 0);
    }
    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& text) override {
        constexpr std::string_view core = "tag:yaml.org,2002:";
        const bool plain = tag == "?" || tag.empty();
        const bool typed = tag.starts_with(core) && tag != "tag:yaml.org,2002:str";
        config_value value = plain || typed ? resolve_plain_scalar(text) : make_text(text);
        value.line = mark.line + 1;
        tree_.set_plain(plain);
        tree_.finish(std::move(value), anchor);
    }
    void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        tree_.begin(kind::list, mark.line + 1, anchor);
    }
    void OnSequenceEnd() override { tree_.end(); }
    void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        tree_.begin(kind::map, mark.line + 1, anchor);
    }
    void OnMapEnd() override { tree_.end(); }

  private:
    tree_builder& tree_;
};

/// nlohmann's SAX interface; its names are given.
class json_events final : public nlohmann::json_sax<nlohmann::json> {
  public:
    explicit json_events(tree_builder& tree) : tree_(tree) {}

    bool null() override { return give({}, "null"); }
    bool boolean(bool v) override {
        config_value value;
        value.type = kind::boolean;
        value.boolean = v;
        return give(std::move(value), v ? "true" : "false");
    }
    bool number_integer(number_integer_t v) override {
        config_value value;
        value.type = kind::integer;
        value.integer = v;
        return give(std::move(value), fmt::format("{}", v));
    }
    bool number_unsigned(number_unsigned_t v) override {
        if (v <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
            return number_integer(static_cast<std::int64_t>(v));
        return number_float(static_cast<double>(v), fmt::format("{}", v));
    }
    bool number_float(number_float_t v, const string_t& text) override {
        config_value value;
        value.type = kind::real;
        value.real = v;
        return give(std::move(value), text);
    }
    bool string(string_t& v) override {
        tree_.scalar(make_text(std::move(v)));
        return true;
    }
    bool binary(binary_t&) override { return false; }
    bool start_object(std::size_t) override {
        tree_.begin(kind::map, 0, 0);
        return true;
    }
    bool key(string_t& v) override {
        tree_.key(make_text(std::move(v)), false);
        return true;
    }
    bool end_object() override {
        tree_.end();
        return true;
    }
    bool start_array(std::size_t) override {
        tree_.begin(kind::list, 0, 0);
        return true;
    }
    bool end_array() override {
        tree_.end();
        return true;
    }
    bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception&) override { return false; }

  private:
    bool give(config_value value, std::string text) {
        value.text = std::move(text);
        tree_.scalar(std::move(value));
        return true;
    }

    tree_builder& tree_;
};

/// Control characters are not allowed in YAML, and the parser would take some of them for the end
/// of the file.
void refuse_control_characters(std::string_view text) {
    int line = 1;
    for (const char c : text) {
        if (c == '\n') ++line;
        const auto code = static_cast<unsigned char>(c);
        if ((code < 0x20 && c != '\n' && c != '\r' && c != '\t') || code == 0x7f)
            fail_at(line, fmt::format("control character 0x{:02x}; expected text", code));
    }
}

}  // namespace

const config_value* config_value::find(std::string_view key) const {
    const auto found = entries.find(key);
    return found == entries.end() ? nullptr : &found->second;
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

config_value resolve_plain_scalar(std::string_view text) {
    const auto resolve = [&]() -> std::optional<config_value> {
        if (auto word = resolve_word(text)) return word;
        const char first = text[0];
        if (!is_digit(first) && first != '+' && first != '-' && first != '.') return std::nullopt;
        std::string digits(text);
        std::erase(digits, '_');
        if (auto integer = resolve_integer(digits)) return integer;
        if (!looks_like_real(digits)) return std::nullopt;
        config_value value;
        value.type = kind::real;
        value.real = std::strtod(digits.c_str(), nullptr);
        return value;
    };
    config_value value = resolve().value_or(make_text({}));
    value.text = text;
    return value;
}

config_value parse_config_text(std::string_view text) {
    refuse_control_characters(text);
    const auto first = text.find_first_not_of(" \t\r\n");
    if (first != std::string_view::npos && text[first] == '{') {
        // Dumped configurations are JSON. Valid JSON is read as JSON, because YAML differs from it
        // in details (escapes of surrogate pairs, tabs, very long keys); a YAML flow map that is no
        // JSON goes on to the YAML parser.
        tree_builder tree;
        json_events events(tree);
        if (nlohmann::json::sax_parse(text, &events)) return tree.take_root();
    }
    tree_builder tree;
    yaml_events events(tree);
    try {
        std::istringstream input{std::string(text)};
        YAML::Parser parser(input);
        parser.HandleNextDocument(events);
    } catch (const YAML::Exception& e) {
        fail_at(e.mark.is_null() ? 0 : e.mark.line + 1, "not valid YAML: " + e.msg);
    }
    return tree.take_root();
}

}  // namespace keepstore::cluster_config
