/// Arbitrary bytes as a Range header: a parsed one has exactly one range, which parses the same in its canonical form,
/// and the resulting range of a block lies within the block.
#include "router/range_header.hpp"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <string>
#include <string_view>

using namespace keepstore;

namespace {

std::string written(const byte_range_spec& spec) {
    return "bytes=" + (spec.first ? std::to_string(*spec.first) : "") + "-" +
           (spec.last ? std::to_string(*spec.last) : "");
}

void check_within(const byte_range_spec& spec, std::uint64_t size) {
    const auto part = spec.resolve(size);
    if (!part) {
        // Refused only if it contains no byte of the block.
        const bool suffix_of_something = !spec.first && *spec.last > 0 && size > 0;
        if (suffix_of_something || (spec.first && *spec.first < size)) std::abort();
        return;
    }
    if (part->length == 0 || part->first >= size || part->length > size - part->first) std::abort();
    if (spec.first && (part->first != *spec.first || (spec.last && part->end() - 1 > *spec.last))) std::abort();
    if (!spec.first && (part->end() != size || part->length > *spec.last)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto spec = router::parse_range(text);
    if (!spec) return 0;
    if (std::ranges::count(text, '-') != 1 || (!spec->first && !spec->last)) std::abort();
    if (spec->first && spec->last && *spec->last < *spec->first) std::abort();
    const auto again = router::parse_range(written(*spec));
    if (!again || again->first != spec->first || again->last != spec->last) std::abort();
    for (const std::uint64_t block : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{500}, std::uint64_t{1} << 26,
                                      std::numeric_limits<std::uint64_t>::max()})
        check_within(*spec, block);
    return 0;
}
