#include "keepctl/cluster/exit_code.hpp"

#include <catch2/catch.hpp>

using namespace keepstore::keepctl;

TEST_CASE("of several exit codes the first of 2, 3, 4, 5, 6, 1 counts", "[keepctl][exit]") {
    using enum exit_code;
    constexpr exit_code order[] = {usage, unreachable, refused, conflict, not_finished, some_failed, done};
    for (std::size_t i = 0; i < std::size(order); ++i) {
        for (std::size_t j = 0; j < std::size(order); ++j) {
            CHECK(worse(order[i], order[j]) == order[std::min(i, j)]);
            CHECK(worse(interrupted, order[i]) == interrupted);
            CHECK(worse(order[i], terminated) == terminated);
        }
    }
    CHECK(worse(no_change, done) == no_change);
    CHECK(worse(no_change, some_failed) == some_failed);
}
