#include "keepctl/cluster/metric_text.hpp"

#include <algorithm>
#include <charconv>

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

/// Calls `take(sample)` for the samples of a metric, until it returns false.
template <class Take>
void for_samples(std::string_view text, std::string_view name, Take take) {
    while (!text.empty()) {
        const auto end = text.find('\n');
        const auto line = text.substr(0, end);
        text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
        if (!line.starts_with(name)) continue;
        const auto rest = line.substr(name.size());
        if (!rest.starts_with(' ') && !rest.starts_with('{')) continue;
        if (auto sample = parse_sample(rest); sample && !take(std::move(*sample))) return;
    }
}

std::optional<metric_sample> first_sample(std::string_view text, std::string_view name) {
    std::optional<metric_sample> out;
    for_samples(text, name, [&](metric_sample sample) {
        out = std::move(sample);
        return false;
    });
    return out;
}

}  // namespace

std::string_view metric_sample::label(std::string_view name) const noexcept {
    const auto found = std::ranges::find(labels, name, &std::pair<std::string, std::string>::first);
    return found == labels.end() ? std::string_view() : std::string_view(found->second);
}

std::vector<metric_sample> metric_samples(std::string_view text, std::string_view name) {
    std::vector<metric_sample> out;
    for_samples(text, name, [&](metric_sample sample) {
        out.push_back(std::move(sample));
        return true;
    });
    return out;
}

std::optional<double> metric_value(std::string_view text, std::string_view name) {
    const auto sample = first_sample(text, name);
    return sample ? std::optional(sample->value) : std::nullopt;
}

std::optional<std::string> metric_label(std::string_view text, std::string_view name, std::string_view label) {
    const auto sample = first_sample(text, name);
    if (!sample) return std::nullopt;
    const auto found = std::ranges::find(sample->labels, label, &std::pair<std::string, std::string>::first);
    return found == sample->labels.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace keepstore::keepctl
