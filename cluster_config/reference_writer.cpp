#include "cluster_config/reference_writer.hpp"

#include "base/units.hpp"
#include "cluster_config/url.hpp"
#include "cluster_config/value.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace keepstore::cluster_config {
namespace {

constexpr std::size_t line_length_max = 120;
constexpr std::size_t comment_column = 42;
/// Of the sections of a cluster, which have blank lines between them, as have the volumes and the like in them.
constexpr std::size_t cluster_depth = 2;

/// "memory for blocks" as "Memory for blocks."
std::string sentence(std::string_view words) {
    std::string out(words);
    if (out[0] >= 'a' && out[0] <= 'z') out[0] = static_cast<char>(out[0] & ~0x20);
    if (!out.ends_with('.')) out += '.';
    return out;
}

}  // namespace

void reference_writer::begin_line() {
    if (!maps_.empty()) maps_.back().empty = false;
    text_.append(2 * maps_.size(), ' ');
}

void reference_writer::comment(std::string_view text) {
    const std::size_t room = line_length_max - 2 * maps_.size() - 2;
    while (!text.empty()) {
        std::size_t length = std::min(text.find('\n'), text.size());
        if (length > room) length = std::min(text.rfind(' ', room), length);
        begin_line();
        text_ += fmt::format("# {}\n", text.substr(0, length));
        text.remove_prefix(std::min(length + 1, text.size()));
    }
}

void reference_writer::begin(std::string_view key, std::string_view about) {
    if (maps_.size() == cluster_depth) text_ += '\n';
    if (!brief_) comment(about);
    begin_line();
    text_ += fmt::format("{}:", key);
    maps_.push_back({.colon_end = text_.size()});
    text_ += '\n';
}

void reference_writer::between_entries() {
    if (maps_.size() == cluster_depth + 1) text_ += '\n';
}

void reference_writer::end() {
    if (maps_.back().empty) text_.insert(maps_.back().colon_end, " {}");
    maps_.pop_back();
}

void reference_writer::value(std::string_view key, std::string_view value, std::string_view plain,
                             std::string_view about) {
    if (brief_ && value == plain) return;
    const std::string example = value == plain || brief_ ? "" : "example";
    const std::string all =
        brief_ ? "" : fmt::format("{}{}{}", example, example.empty() || about.empty() ? "" : "; ", about);
    const std::size_t indent = 2 * maps_.size();
    const std::size_t length = indent + key.size() + 2 + value.size();
    const bool fits = std::max(length + 2, comment_column) + 2 + all.size() <= line_length_max;
    if (!fits) comment(sentence(about));
    begin_line();
    text_ += fmt::format("{}: {}", key, value);
    if (const std::string_view after = fits ? all : example; !after.empty())
        text_ +=
            fmt::format("{}# {}", std::string(length + 2 < comment_column ? comment_column - length : 2, ' '), after);
    text_ += '\n';
}

std::string yaml_text(std::string_view text) {
    constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./";
    const bool is_plain = text.find_first_not_of(plain) == std::string_view::npos && !text.starts_with('-') &&
                          resolve_plain_scalar(text).type == config_value::kind::text;
    return is_plain ? std::string(text) : fmt::format("\"{}\"", text);
}

std::string yaml_url(const url& address) {
    std::string text = address.to_string();
    // Equal to that without a path.
    if (address.path == "/" && text.ends_with('/')) text.pop_back();
    return fmt::format("\"{}\"", text);
}

std::string yaml_size(std::uint64_t bytes) {
    constexpr std::array<std::string_view, 4> units{"", "KiB", "MiB", "GiB"};
    std::size_t unit = 0;
    for (; bytes != 0 && bytes % 1024 == 0 && unit + 1 < units.size(); ++unit) bytes /= 1024;
    return fmt::format("{}{}", bytes, units[unit]);
}

}  // namespace keepstore::cluster_config
