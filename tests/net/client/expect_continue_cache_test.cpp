#include "net/client/expect_continue_cache.hpp"
#include "net/limits.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace std::chrono_literals;

TEST_CASE("silence is remembered for a while, for each server", "[net][continue]") {
    net::expect_continue_cache memory;
    const net::endpoint one{false, "a", 1};
    const net::endpoint other{false, "a", 2};
    const net::expect_continue_cache::time_point start{1h};
    memory.note_silence(one, start);
    CHECK_FALSE(memory.is_silent(one, start));
    memory.note_silence(one, start);
    CHECK(memory.is_silent(one, start));
    CHECK(memory.is_silent(one, start + limits::net_continue_unasked - 1s));
    CHECK_FALSE(memory.is_silent(other, start));

    // Tried again after a while: one more silence is enough, one 100 Continue resets it all.
    const auto later = start + limits::net_continue_unasked;
    CHECK_FALSE(memory.is_silent(one, later));
    memory.note_silence(one, later);
    CHECK(memory.is_silent(one, later + 1s));
    memory.note_continue(one);
    CHECK_FALSE(memory.is_silent(one, later + 1s));
    memory.note_silence(one, later);
    CHECK_FALSE(memory.is_silent(one, later + 1s));

    // However many servers there are.
    for (unsigned i = 1; i < 3 * limits::net_addresses_kept_max; ++i)
        memory.note_silence({false, "b", static_cast<std::uint16_t>(i)}, later);
    memory.note_silence(other, later);
    memory.note_silence(other, later);
    CHECK(memory.is_silent(other, later));
}
