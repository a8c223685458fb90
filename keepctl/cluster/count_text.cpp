#include "keepctl/cluster/count_text.hpp"

#include <fmt/format.h>

#include <cstddef>

namespace keepstore::keepctl {

std::string grouped(std::uint64_t n) {
    std::string out = std::to_string(n);
    for (auto i = static_cast<std::ptrdiff_t>(out.size()) - 3; i > 0; i -= 3)
        out.insert(static_cast<std::size_t>(i), ",");
    return out;
}

std::string count_of(std::uint64_t n, std::string_view noun) {
    if (n == 1) return fmt::format("1 {}", noun);
    if (noun.ends_with('y')) return fmt::format("{} {}ies", grouped(n), noun.substr(0, noun.size() - 1));
    return fmt::format("{} {}s", grouped(n), noun);
}

}  // namespace keepstore::keepctl
