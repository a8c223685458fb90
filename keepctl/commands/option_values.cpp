#include "keepctl/commands/option_values.hpp"

#include "base/hex.hpp"
#include "cloud/time.hpp"
#include "cluster_config/scalars.hpp"
#include "keepctl/cluster/shards.hpp"

namespace keepstore::keepctl {

std::string parse_time_limit(const std::string& text, std::optional<std::chrono::nanoseconds>& into) {
    into = cluster_config::parse_duration(text);
    if (!into || into->count() <= 0) return fmt::format("found \"{}\"; expected a duration such as 30s or 1h30m", text);
    return {};
}

std::string parse_prefix(const std::string& text, std::string& into) {
    if (text.size() > 32 || !is_lower_hex(text))
        return fmt::format("found \"{}\"; expected at most 32 lower-case hex digits", text);
    into = text;
    return {};
}

std::string parse_subset(const std::string& text, shard_subset& into) {
    const auto slash = text.find('/');
    constexpr auto parts_max = static_cast<unsigned>(shard_count(limits::shard_digits_max));
    if (slash != std::string::npos && parse_count(text.substr(slash + 1), 1U, parts_max, into.of).empty() &&
        parse_count(text.substr(0, slash), 1U, into.of, into.number).empty())
        return {};
    return fmt::format("found \"{}\"; expected N/T such as 1/16, N from 1 to T and T at most {}", text, parts_max);
}

std::string parse_since(const std::string& text, std::optional<std::chrono::sys_time<std::chrono::nanoseconds>>& into) {
    if (const auto ago = cluster_config::parse_duration(text); ago && ago->count() >= 0) {
        into = std::chrono::system_clock::now() - *ago;
        return {};
    }
    if (const auto at = cloud::parse_iso_date(text)) {
        into = *at;
        return {};
    }
    return fmt::format(
        "found \"{}\"; expected a time such as 2026-01-31T00:00:00Z, or a duration before now such as 36h", text);
}

}  // namespace keepstore::keepctl
