#include "bench/size_mix.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <stdexcept>
#include <string>

namespace keepstore::bench {

std::uint64_t parse_size(std::string_view text) {
    std::uint64_t value = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, ec] = std::from_chars(text.data(), end, value);
    const auto suffix = std::string_view(rest, static_cast<std::size_t>(end - rest));
    if (ec != std::errc{}) throw std::invalid_argument("not a size: " + std::string(text));
    if (suffix.empty()) return value;
    if (suffix == "k") return value << 10;
    if (suffix == "m") return value << 20;
    if (suffix == "g") return value << 30;
    throw std::invalid_argument("size suffix must be k, m or g: " + std::string(text));
}

size_mix size_mix::parse(std::string_view text) {
    size_mix mix;
    if (const auto dots = text.find(".."); dots != std::string_view::npos) {
        const auto low = static_cast<double>(parse_size(text.substr(0, dots)));
        const auto high = static_cast<double>(parse_size(text.substr(dots + 2)));
        if (low < 1 || high < low) throw std::invalid_argument("empty size range: " + std::string(text));
        for (int i = 0; i <= range_steps; ++i) {
            const auto size = low * std::pow(high / low, static_cast<double>(i) / range_steps);
            mix.add(static_cast<std::uint64_t>(std::llround(size)), 1);
        }
    } else {
        while (!text.empty()) {
            const auto comma = std::min(text.find(','), text.size());
            const auto item = text.substr(0, comma);
            const auto colon = item.find(':');
            mix.add(parse_size(item.substr(0, colon)),
                    colon == std::string_view::npos ? 1 : parse_size(item.substr(colon + 1)));
            text.remove_prefix(std::min(comma + 1, text.size()));
        }
    }
    if (mix.tickets_ == 0) throw std::invalid_argument("no block size given");
    return mix;
}

void size_mix::add(std::uint64_t size, std::uint64_t weight) {
    const auto place = std::ranges::lower_bound(sizes_, size);
    if (place != sizes_.end() && *place == size) return;
    weights_.insert(weights_.begin() + (place - sizes_.begin()), weight);
    sizes_.insert(place, size);
    tickets_ += weight;
}

}  // namespace keepstore::bench
