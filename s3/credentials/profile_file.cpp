#include "s3/credentials/profile_file.hpp"

#include "base/text.hpp"
#include "net/http/text.hpp"

#include <algorithm>
#include <optional>

namespace keepstore::s3 {
namespace {

constexpr std::string_view blanks = " \t\r\f\v";

/// Removes a comment that follows a blank: "value ; comment".
std::string_view without_comment(std::string_view text) {
    for (std::size_t i = 1; i < text.size(); ++i) {
        if ((text[i] == '#' || text[i] == ';') && (text[i - 1] == ' ' || text[i - 1] == '\t')) return text.substr(0, i);
    }
    return text;
}

/// Returns the name of the profile in a section header.
std::optional<std::string> profile_of(std::string_view header, profile_file kind) {
    const auto end = header.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    auto name = trim(header.substr(1, end - 1), blanks);
    if (kind == profile_file::config && name != "default") {
        constexpr std::string_view word = "profile";
        if (!name.starts_with(word) || name.size() == word.size() ||
            blanks.find(name[word.size()]) == std::string_view::npos) {
            return std::nullopt;
        }
        name = trim(name.substr(word.size()), blanks);
    }
    if (name.size() >= 2 && (name.front() == '"' || name.front() == '\'') && name.back() == name.front()) {
        name = name.substr(1, name.size() - 2);
    }
    if (name.empty()) return std::nullopt;
    return std::string(name);
}

}  // namespace

profiles parse_profiles(std::string_view text, profile_file kind) {
    profiles out;
    std::optional<std::string> current;
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
    while (!text.empty()) {
        const auto line = take_part(text, '\n');
        if (trim(line, blanks).empty() || line.front() == '#' || line.front() == ';') continue;
        if (line.front() == '[') {
            current = profile_of(line, kind);
            if (current) out.try_emplace(*current);
            continue;
        }
        if (!current || blanks.find(line.front()) != std::string_view::npos) continue;
        const auto equals = line.find('=');
        if (equals == std::string_view::npos) continue;
        const auto name = trim(line.substr(0, equals), blanks);
        if (!name.empty()) {
            out[*current].insert_or_assign(lower_case(name),
                                           std::string(trim(without_comment(line.substr(equals + 1)), blanks)));
        }
    }
    return out;
}

profiles merge_profiles(profiles config, const profiles& credentials) {
    for (const auto& [name, settings] : credentials) {
        for (const auto& [key, value] : settings) config[name].insert_or_assign(key, value);
        config.try_emplace(name);
    }
    return config;
}

}  // namespace keepstore::s3
