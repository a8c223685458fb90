#include "base/json.hpp"
#include "cluster_config/error.hpp"
#include "cluster_config/limits.hpp"
#include "cluster_config/value.hpp"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <limits>
#include <sstream>
#include <unordered_map>
#include <utility>

namespace keepstore::cluster_config {
namespace {

using kind = config_value::kind;

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

/// Builds a tree from its parts in the order of the document, within the limits on depth and size.
class tree_builder {
  public:
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

    /// Whether the next scalar is unquoted; matters if it is a key.
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

    /// Keys that are not text get the name that the Go loader gives them when it turns YAML into JSON.
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

    /// `<<: *a` and `<<: [*a, *b]`. As in the Go loader's library the entries are taken over where the merge key
    /// stands, so that keys written after it win and keys written before it lose; of a list the earlier map wins.
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

/// Gives the tree what a JSON document says.
void build(const nlohmann::json& from, tree_builder& tree) {
    using nlohmann::json;
    switch (from.type()) {
        case json::value_t::object:
            tree.begin(kind::map, 0, 0);
            for (const auto& [key, entry] : from.items()) {
                tree.key(make_text(key), false);
                build(entry, tree);
            }
            return tree.end();
        case json::value_t::array:
            tree.begin(kind::list, 0, 0);
            for (const auto& item : from) build(item, tree);
            return tree.end();
        case json::value_t::string:
            return tree.finish(make_text(from.get<std::string>()), 0);
        default:
            // null, true, false and numbers are written as in YAML.
            return tree.finish(resolve_plain_scalar(json_to_text(from)), 0);
    }
}

/// Control characters are not allowed in YAML, and the parser would take some of them for the end of the file.
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

config_value parse_config_text(std::string_view text) {
    refuse_control_characters(text);
    tree_builder tree;
    // Dumped configurations are JSON. Valid JSON is read as JSON, because YAML differs from it in details (escapes of
    // surrogate pairs, tabs, very long keys). A YAML flow map that is no JSON goes to the YAML parser.
    const auto first = text.find_first_not_of(" \t\r\n");
    if (first != std::string_view::npos && text[first] == '{') {
        const auto json = parse_json(text);
        if (!json.is_discarded()) {
            build(json, tree);
            return tree.take_root();
        }
    }
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
