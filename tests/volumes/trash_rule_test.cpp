#include "volumes/trash_rule.hpp"

#include <catch2/catch.hpp>

namespace keepstore::volumes::trash_rule {
namespace {

using namespace std::chrono_literals;

constexpr block_time now{std::chrono::seconds(1'800'000'000) + 250ms};
constexpr nanoseconds protection = 336h;
constexpr nanoseconds lifetime = 24h;

}  // namespace

TEST_CASE("a block may be trashed from the end of its protection on", "[volumes][trash]") {
    CHECK_FALSE(may_trash(now - protection + 1ns, now, protection));
    CHECK(may_trash(now - protection, now, protection));
    CHECK(may_trash(now - protection - 1ns, now, protection));
}

TEST_CASE("an mtime from the future keeps the block: the clock was set back", "[volumes][trash]") {
    CHECK_FALSE(may_trash(now + 1ns, now, 0ns));
    CHECK(may_trash(now, now, 0ns));
    CHECK_FALSE(may_trash(now + 1h, now, protection));
    CHECK_FALSE(may_trash_truncated(now + 1h, now, protection));
    CHECK_FALSE(may_trash_truncated(now + 1h, now, 1ns));
    // Old enough when it was written, judged by a clock that is then set back by a minute.
    CHECK(may_trash(now - protection, now, protection));
    CHECK_FALSE(may_trash(now - protection, now - 1min, protection));
}

TEST_CASE("an mtime cut to seconds protects the block for one second more", "[volumes][trash]") {
    CHECK_FALSE(may_trash_truncated(now - protection, now, protection));
    CHECK_FALSE(may_trash_truncated(now - protection - 1s + 1ns, now, protection));
    CHECK(may_trash_truncated(now - protection - 1s, now, protection));
    CHECK(may_trash_truncated(now - protection - 1s - 1ns, now, protection));
    // No protection, no margin.
    CHECK(may_trash_truncated(now, now, 0ns));
    CHECK(may_trash_truncated(now + 1s, now, 0ns));
}

TEST_CASE("a trash list's mtime must be exactly the stored one", "[volumes][trash]") {
    CHECK(has_expected_mtime(std::nullopt, now));
    CHECK(has_expected_mtime(now, now));
    CHECK_FALSE(has_expected_mtime(now, now + 1ns));
    CHECK_FALSE(has_expected_mtime(now, now - 1ns));
}

TEST_CASE("trash lists may contain any mtime", "[volumes][trash]") {
    CHECK(may_trash(block_time::min(), now, protection));
    CHECK(may_trash(block_time{}, now, protection));
    CHECK_FALSE(may_trash(block_time::max(), now, protection));
    CHECK_FALSE(may_trash(block_time{}, now, nanoseconds::max()));
}

TEST_CASE("without a lifetime trashing deletes", "[volumes][trash]") {
    CHECK(deletes_at_once(0ns));
    CHECK_FALSE(deletes_at_once(1ns));
}

TEST_CASE("a trash copy may be deleted from the end of its lifetime on", "[volumes][trash]") {
    CHECK_FALSE(may_delete(now - lifetime + 1ns, now, lifetime));
    CHECK(may_delete(now - lifetime, now, lifetime));
    CHECK(may_delete(now - lifetime - 1ns, now, lifetime));
    // The clock was set back after the trashing.
    CHECK_FALSE(may_delete(now + 1h, now, lifetime));
}

TEST_CASE("the second in a trash copy's name is the one from which on it may be deleted", "[volumes][trash]") {
    const auto second = std::chrono::floor<std::chrono::seconds>(now);
    const auto due = deletion_second(now, lifetime);
    CHECK(due == (second + lifetime).time_since_epoch() / 1s);
    CHECK_FALSE(may_delete(due, second + lifetime - 1ns));
    CHECK(may_delete(due, second + lifetime));
    CHECK(may_delete(due, second + lifetime + 1ns));
    // The clock was set back after the trashing.
    CHECK_FALSE(may_delete(due, now - 1h));
    // The last nanosecond of a second still belongs to it.
    CHECK(deletion_second(second + 1s - 1ns, 0ns) == deletion_second(second, 0ns));
    CHECK(deletion_second(second + 1s - 1ns, 1ns) == deletion_second(second, 0ns) + 1);
}

TEST_CASE("a lifetime beyond all times keeps the trash copy for good", "[volumes][trash]") {
    const auto due = deletion_second(now, nanoseconds::max());
    CHECK(due == std::chrono::floor<std::chrono::seconds>(block_time::max()).time_since_epoch().count());
    CHECK_FALSE(may_delete(due, now + std::chrono::years(100)));
    CHECK_FALSE(may_delete(now - std::chrono::years(50), now, nanoseconds::max()));
}

TEST_CASE("a trash copy made while the block was protected is a mistake", "[volumes][trash]") {
    CHECK(trashed_by_mistake(now, now + protection - 1ns, protection));
    CHECK_FALSE(trashed_by_mistake(now, now + protection, protection));
    CHECK_FALSE(trashed_by_mistake(now, now + protection + 1ns, protection));
    // Marked after it was trashed.
    CHECK(trashed_by_mistake(now, now - 1s, protection));
    CHECK(trashed_by_mistake(now, now - 1s, 0ns));
    CHECK_FALSE(trashed_by_mistake(now, now, 0ns));
}

TEST_CASE("a block brought back is touched when its protection ends within a race window", "[volumes][trash]") {
    const auto window = 5min;
    CHECK_FALSE(protection_ends_within(window, now - protection + window + 1ns, now, protection));
    CHECK(protection_ends_within(window, now - protection + window, now, protection));
    CHECK(protection_ends_within(window, now - protection + window - 1ns, now, protection));
    CHECK(protection_ends_within(0ns, now - protection, now, protection));
}

TEST_CASE("a trash copy that is due within a race window is not replaced", "[volumes][trash]") {
    const auto window = 5min;
    CHECK(may_replace_copy(window, now - lifetime + window + 1ns, now, lifetime));
    CHECK_FALSE(may_replace_copy(window, now - lifetime + window, now, lifetime));
    CHECK_FALSE(may_replace_copy(window, now - lifetime + window - 1ns, now, lifetime));
    CHECK(may_replace_copy(0ns, now, now, lifetime));
}

}  // namespace keepstore::volumes::trash_rule
