/// What every driver does when its storage hangs, fails or is gone, and comes back (docs/volume-health.md). A driver's
/// test defines KEEPSTORE_HEALTH_MAKERS as a std::tuple of makers and includes this file. A maker is
/// default-constructible and has
///     volume& get();               an empty volume of its own
///     bool usable() const;         whether the faults can be made here
///     void hang(bool);             writes to the storage hang
///     void take_away(bool);        the storage fails every call, or is gone
#pragma once

#ifndef KEEPSTORE_HEALTH_MAKERS
#error "define KEEPSTORE_HEALTH_MAKERS before including health_contract.hpp"
#endif

#include "tests/contract/volume_harness.hpp"

#include <catch2/catch.hpp>

#include <cstddef>
#include <optional>
#include <thread>
#include <vector>

namespace keepstore::test {

template <class Condition>
bool becomes(Condition condition) {
    const auto until = soon();
    while (!condition()) {
        if (until.passed()) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
}

inline bool works(const volumes::volume& v) {
    const auto now = v.state();
    return std::max(now.reads, now.writes) <= volumes::volume_state::slow && v.health().empty();
}

struct stored_block {
    md5_digest name;
    std::vector<std::byte> content;
};

/// Stores a block on the maker's volume, which works then. Nothing, with a warning, where no faults can be made.
template <class Maker>
std::optional<stored_block> store_one(Maker& maker) {
    if (!maker.usable()) {
        WARN("skipped: may not mount a file system of its own here");
        return std::nullopt;
    }
    stored_block block{random_name(), random_bytes(1000)};
    REQUIRE(put(maker.get(), block.name, block.content).has_value());
    REQUIRE(becomes([&] { return works(maker.get()); }));
    return block;
}

TEMPLATE_LIST_TEST_CASE("a call with an alternative leaves a volume that stalls", "[volumes][contract][health]",
                        KEEPSTORE_HEALTH_MAKERS) {
    TestType maker;
    const auto stored = store_one(maker);
    if (!stored) return;
    auto& v = maker.get();
    const auto& [name, content] = *stored;

    maker.hang(true);
    const auto begun = deadline::clock::now();
    CHECK(is_error(run(v.touch(name, soon().ending_at_stall())), errc::unavailable));
    CHECK(deadline::clock::now() - begun < std::chrono::seconds(20));  // Two on an idle machine.
    CHECK(v.state().writes >= volumes::volume_state::stalled);
    CHECK_FALSE(v.health().empty());
    // It is known now.
    const auto again = deadline::clock::now();
    CHECK(is_error(run(v.touch(name, soon().ending_at_stall())), errc::unavailable));
    CHECK(deadline::clock::now() - again < std::chrono::seconds(1));

    maker.hang(false);
    CHECK(becomes([&] { return works(v); }));
    CHECK(get(v, name).value() == content);
    CHECK(run(v.touch(name, soon())).has_value());
}

TEMPLATE_LIST_TEST_CASE("a volume whose storage fails or is gone says so until it is back",
                        "[volumes][contract][health]", KEEPSTORE_HEALTH_MAKERS) {
    TestType maker;
    const auto stored = store_one(maker);
    if (!stored) return;
    auto& v = maker.get();
    const auto& [name, content] = *stored;

    maker.take_away(true);
    CHECK(becomes([&] {
        static_cast<void>(get(v, name));
        return v.state().reads >= volumes::volume_state::failing && v.state().writes >= volumes::volume_state::failing;
    }));
    CHECK_FALSE(v.health().empty());
    CHECK(is_error(get(v, name), errc::unavailable));
    CHECK(is_error(put(v, random_name(), content), errc::unavailable));
    CHECK(is_error(index_names(v), errc::unavailable));

    maker.take_away(false);
    CHECK(becomes([&] { return works(v); }));
    CHECK(get(v, name).value() == content);
    CHECK(put(v, random_name(), content).has_value());
}

}  // namespace keepstore::test
