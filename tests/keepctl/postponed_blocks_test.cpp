#include "keepctl/replicate/postponed_blocks.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::keepctl;
using namespace std::chrono_literals;

namespace {

const auto first_failure = postponed_blocks::clock::time_point(1h);

md5_digest postponed_name(unsigned n) {
    const std::string digits = std::to_string(n);
    return md5_digest::parse(std::string(32 - digits.size(), '0') + digits).value();
}

}  // namespace

TEST_CASE("a block that fails is tried again after 1, 2, 4 .. 60 minutes", "[keepctl][postponed]") {
    postponed_blocks all;
    const auto block = postponed_name(1);
    auto now = first_failure;
    CHECK_FALSE(all.reason(block, now));
    for (const auto wait : {1min, 2min, 4min, 8min, 16min, 32min, 60min, 60min}) {
        all.failed(block, "rotten", now);
        CHECK(all.reason(block, now + wait - 1s) == "rotten");
        all.failed(block, "not tried", now + wait - 1s);  // Changes nothing.
        CHECK(all.reason(block, now + wait - 1s) == "rotten");
        CHECK_FALSE(all.reason(block, now + wait));
        all.end_pass();
        now += wait;
    }
}

TEST_CASE("a block that a pass has not seen is forgotten", "[keepctl][postponed]") {
    postponed_blocks all;
    all.failed(postponed_name(1), "a", first_failure);
    all.failed(postponed_name(2), "b", first_failure);
    all.end_pass();
    CHECK(all.reason(postponed_name(1), first_failure + 1s));
    all.end_pass();
    // The second one was copied, or is gone: it begins again.
    all.failed(postponed_name(2), "b", first_failure + 2s);
    CHECK(all.reason(postponed_name(2), first_failure + 61s));
    CHECK_FALSE(all.reason(postponed_name(2), first_failure + 62s));
}

TEST_CASE("a bounded number of blocks is remembered", "[keepctl][postponed]") {
    postponed_blocks all;
    for (unsigned i = 0; i < limits::failures_kept_max + 5; ++i) all.failed(postponed_name(i), "rotten", first_failure);
    CHECK(all.reason(postponed_name(limits::failures_kept_max - 1), first_failure));
    CHECK_FALSE(all.reason(postponed_name(limits::failures_kept_max), first_failure));
}
