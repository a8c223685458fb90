#include "keepctl/commands/copy_report.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::keepctl;

TEST_CASE("outcomes add up, and are named once", "[keepctl][counts]") {
    copy_counts c{.listed = 28,
                  .present = 1,
                  .copied = 2,
                  .replaced = 3,
                  .gone = 4,
                  .bad_source = 5,
                  .failed = 6,
                  .left = 7,
                  .bytes = 800};
    CHECK(c.add_up());
    CHECK(c.stored() == 5);
    CHECK(c.not_stored() == 11);
    std::uint64_t sum = 0;
    for (const auto& [outcome, n] : c.by_name()) sum += n;
    CHECK(sum == c.listed);
    const auto once = c;
    c += once;
    CHECK(c.add_up());
    CHECK(c.bytes == 1600);
    for (std::size_t i = 0; i < c.by_name().size(); ++i) CHECK(c.by_name()[i].second == 2 * once.by_name()[i].second);
    ++c.left;
    CHECK_FALSE(c.add_up());
}

TEST_CASE("the summary of a copy", "[keepctl][counts]") {
    const copy_counts c{.listed = 1, .copied = 1, .bytes = 3};
    CHECK(outcome_sentence(c, false) ==
          "1 block looked at: 0 present, 1 copied (3 B), 0 replaced, 0 gone at the source, 0 bad at the source, "
          "0 failed, 0 left");
    CHECK(outcome_sentence({.listed = 2'000, .copied = 2'000}, true)
              .starts_with("2,000 blocks looked at: 0 present, 2,000 to be copied"));
    record fields;
    add_outcomes(fields, c);
    CHECK(fields.front() == record::value_type{"listed", std::int64_t{1}});
    CHECK(fields.back() == record::value_type{"bytes", std::int64_t{3}});
    CHECK(fields.size() == 9);
}

TEST_CASE("the exit code of a copy without failures", "[keepctl][counts]") {
    const copy_counts done{.listed = 1, .copied = 1};
    const copy_counts present{.listed = 1, .present = 1};
    CHECK(code_of(done, {}) == exit_code::done);
    CHECK(code_of(done, {.complete = false}) == exit_code::not_finished);
    CHECK(code_of({.listed = 1, .left = 1}, {}) == exit_code::not_finished);
    CHECK(code_of({.listed = 2, .copied = 1}, {}) == exit_code::not_finished);
    // Nothing could be reached, unless something was stored, now or by an earlier run.
    const error refused = errc::forbidden;
    CHECK(code_of(present, {.fatal = refused}) == exit_code::unreachable);
    CHECK(code_of(done, {.fatal = refused}) == exit_code::not_finished);
    CHECK(code_of({.listed = 1, .replaced = 1}, {.fatal = refused}) == exit_code::not_finished);
    CHECK(code_of(present, {.fatal = refused, .went_on = true}) == exit_code::not_finished);
    CHECK(code_of(present, {.fatal = error(errc::no_space)}) == exit_code::not_finished);
    CHECK(code_of(present, {.fatal = refused, .complete = false}) == exit_code::unreachable);
}
