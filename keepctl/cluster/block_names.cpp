#include "keepctl/cluster/block_names.hpp"

#include "base/json.hpp"
#include "base/text.hpp"
#include "protocol/locator.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>

namespace keepstore::keepctl {
namespace {

std::optional<md5_digest> name_in_line(std::string_view line) {
    std::string hash(line.substr(0, line.find_first_of(" \t")));
    if (line.starts_with('{')) {
        const auto parsed = parse_json(line);
        if (!parsed.is_object()) return std::nullopt;
        hash = json_text(parsed, "hash");
    }
    const auto parsed = protocol::locator::parse(hash);
    if (!parsed) return std::nullopt;
    return parsed->hash;
}

}  // namespace

std::string failure_line(const block_failure& f) {
    const nlohmann::ordered_json out{
        {"hash", f.block.hex()}, {"size", f.size}, {"class", f.outcome}, {"reason", f.reason}, {"server", f.server}};
    return json_to_text(out) + '\n';
}

std::expected<std::vector<md5_digest>, std::string> parse_block_names(std::string_view text) {
    std::vector<md5_digest> out;
    for (std::size_t number = 1; !text.empty(); ++number) {
        auto line = take_part(text, '\n');
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (line.empty() || line.starts_with('#')) continue;
        const auto name = name_in_line(line);
        if (!name)
            return std::unexpected(
                fmt::format("line {}: expected hash, hash+size, or an object with \"hash\"", number));
        out.push_back(*name);
    }
    std::ranges::sort(out);
    const auto rest = std::ranges::unique(out);
    out.erase(rest.begin(), rest.end());
    return out;
}

bool has_prefix(std::span<const md5_digest> sorted, std::string_view prefix) {
    const auto least = md5_digest::parse(std::string(prefix) + std::string(32 - prefix.size(), '0'));
    const auto found = std::ranges::lower_bound(sorted, least.value());
    return found != sorted.end() && found->hex().starts_with(prefix);
}

}  // namespace keepstore::keepctl
