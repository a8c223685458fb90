/// A repository and a place in memory, and what tests of create, check and prune do with them.
#pragma once

#include "keepctl/snapshot/check.hpp"
#include "keepctl/snapshot/create.hpp"
#include "keepctl/snapshot/prune.hpp"
#include "tests/keepctl/snapshot/memory_store.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::keepctl::test {

inline std::vector<entry> entries_on(std::size_t mounts, std::size_t count, unsigned seed = 1) {
    std::mt19937_64 random(seed);
    std::vector<entry> out;
    for (std::size_t i = 0; i < count; ++i) {
        md5_digest name;
        for (auto& b : name.bytes) b = static_cast<std::uint8_t>(random());
        for (std::size_t m = 0; m < mounts; ++m) {
            out.push_back({.block = name,
                           .size = static_cast<std::uint32_t>(i % 1000),
                           .mount = static_cast<std::uint16_t>(m),
                           .mtime = static_cast<std::int64_t>(i)});
        }
    }
    std::ranges::shuffle(out, random);
    return out;
}

struct snapshot_rig {
    std::chrono::milliseconds unknown_max;
    memory_store store;
    listed_place place{2};
    std::vector<std::string> notes;
    repository repo{
        store, [](std::string_view) {}, {.pause_max = std::chrono::milliseconds(1), .unknown_max = unknown_max}};
    create_options options{
        .scope = "cluster", .digits = 1, .note = [this](std::string_view text) { notes.emplace_back(text); }};

    /// `for_long`: how long a swap may be repeated whose outcome is not known.
    explicit snapshot_rig(std::chrono::milliseconds for_long = std::chrono::seconds(40)) : unknown_max(for_long) {
        REQUIRE(run_to_value(repo.init("zzzzz")));
        place.entries = entries_on(2, 300);
    }
    outcome<listed_snapshot> create() {
        snapshot_creation creation(repo, place, options);
        return run_to_value(creation.run());
    }
    snapshot_id made() {
        auto end = create();
        REQUIRE(end);
        return end->id;
    }
    exit_code refused_with(std::string_view text) {
        const auto end = create();
        REQUIRE_FALSE(end);
        INFO(end.error().text);
        CHECK(end.error().text.find(text) != std::string::npos);
        return end.error().code;
    }
    check_result checked(const snapshot_id& id, bool read = true) {
        const auto listed = store.latest();
        auto out = run_to_value(check_snapshot(repo, *listed.find(id), read));
        REQUIRE(out);
        return *out;
    }
    prune_end pruned(retention_rules rules, std::chrono::nanoseconds grace = std::chrono::hours(1)) {
        auto end = run_to_value(prune(repo, {.rules = rules, .grace = grace}));
        REQUIRE(end);
        return *end;
    }
    void pass(std::chrono::seconds time) {
        store.clock += time;
        REQUIRE(run_to_value(repo.set_clock()));
    }
};

}  // namespace keepstore::keepctl::test
