#include "keepctl/cluster/metric_text.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

namespace keepstore::keepctl {
namespace {

/// Parses the labels after a brace, and removes them with the closing one. \returns whether they were well-formed.
bool take_labels(std::string_view& rest, std::vector<std::pair<std::string, std::string>>& out) {
    while (true) {
        while (rest.starts_with(' ') || rest.starts_with(',')) rest.remove_prefix(1);
        if (rest.starts_with('}')) {
            rest.remove_prefix(1);
            return true;
        }
        const auto equals = rest.find("=\"");
        if (equals == std::string_view::npos) return false;
        std::string name(rest.substr(0, equals));
        rest.remove_prefix(equals + 2);
        std::string value;
        while (true) {
            if (rest.empty()) return false;
            const char c = rest.front();
            rest.remove_prefix(1);
            if (c == '"') break;
            if (c != '\\') {
                value += c;
                continue;
            }
            if (rest.empty()) return false;
            value += rest.front() == 'n' ? '\n' : rest.front();
            rest.remove_prefix(1);
        }
        out.emplace_back(std::move(name), std::move(value));
    }
}

std::optional<metric_sample> parse_sample(std::string_view rest) {
    metric_sample out;
    if (rest.starts_with('{')) {
        rest.remove_prefix(1);
        if (!take_labels(rest, out.labels)) return std::nullopt;
    }
    const auto from = rest.find_first_not_of(' ');
    if (from == std::string_view::npos) return std::nullopt;
    rest.remove_prefix(from);
    const auto [end, failed] = std::from_chars(rest.data(), rest.data() + rest.size(), out.value);
    if (failed != std::errc() || end == rest.data()) return std::nullopt;
    return out;
}

/// The first samples of a metric.
std::vector<metric_sample> find_samples(std::string_view text, std::string_view name, std::size_t most) {
    std::vector<metric_sample> out;
    while (!text.empty() && out.size() < most) {
        const auto line = take_part(text, '\n');
        if (!line.starts_with(name)) continue;
        const auto rest = line.substr(name.size());
        if (!rest.starts_with(' ') && !rest.starts_with('{')) continue;
        if (auto sample = parse_sample(rest)) out.push_back(std::move(*sample));
    }
    return out;
}

}  // namespace

std::string_view metric_sample::label(std::string_view name) const noexcept {
    const auto found = std::ranges::find(labels, name, &std::pair<std::string, std::string>::first);
    return found == labels.end() ? std::string_view() : std::string_view(found->second);
}

std::vector<metric_sample> metric_samples(std::string_view text, std::string_view name) {
    return find_samples(text, name, std::numeric_limits<std::size_t>::max());
}

std::optional<double> metric_value(std::string_view text, std::string_view name) {
    const auto found = find_samples(text, name, 1);
    return found.empty() ? std::nullopt : std::optional(found.front().value);
}

std::optional<std::string> metric_label(std::string_view text, std::string_view name, std::string_view label) {
    const auto found = find_samples(text, name, 1);
    const auto value = found.empty() ? std::string_view() : found.front().label(label);
    return value.data() ? std::optional<std::string>(value) : std::nullopt;
}

}  // namespace keepstore::keepctl
