#include "base/byte_range.hpp"

#include <catch2/catch.hpp>

#include <limits>

using namespace keepstore;

TEST_CASE("a range is resolved against the size of the block", "[base][range]") {
    constexpr auto huge = std::numeric_limits<std::uint64_t>::max();
    struct row {
        byte_range_spec spec;
        std::uint64_t size;
        std::optional<byte_range> expected;
    };
    const row rows[] = {
        {{0, 0}, 10, byte_range{0, 1}},     {{0, 9}, 10, byte_range{0, 10}},
        {{0, huge}, 10, byte_range{0, 10}}, {{9, {}}, 10, byte_range{9, 1}},
        {{10, {}}, 10, std::nullopt},       {{huge, huge}, 10, std::nullopt},
        {{5, 4}, 10, std::nullopt},         {{{}, 3}, 10, byte_range{7, 3}},
        {{{}, 10}, 10, byte_range{0, 10}},  {{{}, huge}, 10, byte_range{0, 10}},
        {{{}, 0}, 10, std::nullopt},        {{0, {}}, 0, std::nullopt},
        {{{}, 1}, 0, std::nullopt},         {{3, huge}, huge, byte_range{3, huge - 3}},
    };
    for (const row& r : rows) {
        CAPTURE(r.spec.first.value_or(999), r.spec.last.value_or(999), r.size);
        CHECK(r.spec.resolve(r.size) == r.expected);
    }
}
