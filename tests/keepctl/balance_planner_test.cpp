#include "keepctl/balance/planner.hpp"

#include "digest/md5.hpp"
#include "tests/keepctl/balance_world.hpp"

#include <fmt/format.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <random>
#include <set>

namespace keepstore::keepctl::balance {
namespace {

md5_digest block_named(unsigned number) {
    const auto text = std::to_string(number);
    return digest::md5_of(std::as_bytes(std::span(text)));
}

cluster servers_with_one_mount(std::size_t count) {
    cluster out{.classes = {"archival", "default"}};
    for (std::size_t i = 0; i < count; ++i) {
        const auto n = static_cast<std::uint16_t>(i);
        out.servers.push_back({fmt::format("http://keep{}", i), fmt::format("{:015}", i)});
        out.devices.push_back(fmt::format("zzzzz-nyw5e-{:015}", i));
        out.mounts.push_back({.server = n, .device = n, .classes = 2, .allow_write = true, .allow_trash = true});
    }
    return out;
}

plan_options everything() {
    return {.desired = {std::nullopt, 2}, .cutoff = 1000, .now = 5000, .pulls_max = 1000, .trashes_max = 1000};
}

entry copy_of(unsigned block, std::uint16_t device, std::int64_t mtime, std::uint32_t size = 3) {
    return {.block = block_named(block), .size = size, .mount = device, .mtime = mtime};
}

std::vector<std::string> changes_of(planner& plan) {
    std::vector<std::string> out;
    for (auto& s : plan.servers()) {
        for (const auto& p : s.pulls.take()) {
            std::string line = fmt::format("pull {} {} {} from", p.block.text(), p.mount, static_cast<int>(p.why));
            for (std::size_t i = 0; i < p.source_count; ++i) line += fmt::format(" {}", p.sources[i]);
            out.push_back(line);
        }
        for (const auto& t : s.trashes.take())
            out.push_back(fmt::format("trash {} {} {}", t.block.text(), t.mount, t.mtime));
    }
    std::ranges::sort(out);
    return out;
}

std::vector<std::string> plan_of(const cluster& all, const plan_options& options, std::vector<entry> entries,
                                 std::vector<reference> references = {}) {
    planner plan(all, options);
    sort_entries(entries);
    std::ranges::sort(references, {}, &reference::block);
    test::add_shard(plan, all, entries, references);
    return changes_of(plan);
}

}  // namespace

TEST_CASE("without references a block keeps the copies that the rules want, or those that it has",
          "[keepctl][balance]") {
    auto all = servers_with_one_mount(4);
    // One copy of a class that wants two.
    CHECK(plan_of(all, everything(), {copy_of(1, 0, 1)}).size() >= 1);
    // A class that the rules do not name keeps its number.
    for (auto& m : all.mounts) m.classes = 1;
    planner plan(all, everything());
    std::vector<entry> entries;
    for (unsigned b = 0; b < 100; ++b) {
        for (std::uint16_t d = 0; d < 3; ++d) entries.push_back(copy_of(b, d, 1 + d));
    }
    sort_entries(entries);
    test::add_shard(plan, all, entries, {});
    std::size_t pulls = 0;
    for (auto& s : plan.servers()) {
        CHECK(s.trashes.size() == 0);
        for (const auto& p : s.pulls.take()) {
            ++pulls;
            CHECK(p.why == pull_reason::position);
        }
    }
    CHECK(pulls > 0);
    CHECK(plan.counts().garbage.blocks == 0);
    CHECK(plan.counts().total.blocks == 100);
    CHECK(plan.devices()[0].copies == 100);
    CHECK(plan.devices()[3].copies == 0);
}

TEST_CASE("with references unnamed blocks are garbage, and named ones get what is wanted", "[keepctl][balance]") {
    const auto all = servers_with_one_mount(3);
    auto options = everything();
    options.by_references = true;
    options.reference_classes = {1, 0};
    std::vector<block_id> lost;
    planner plan(all, options, [&](block_id b) { lost.push_back(b); });
    std::vector<entry> entries{copy_of(1, 0, 10), copy_of(1, 1, 20), copy_of(2, 0, 10), copy_of(3, 2, 2000)};
    sort_entries(entries);
    std::vector<reference> references{{.block = block_named(1), .size = 3},
                                      {.block = block_named(4), .size = 3, .class_number = 0, .copies = 1}};
    std::ranges::sort(references, {}, &reference::block);
    test::add_shard(plan, all, entries, references);
    CHECK(plan.counts().garbage.blocks == 1);
    CHECK(plan.counts().unreferenced.blocks == 1);
    CHECK(plan.counts().lost.blocks == 1);
    CHECK(plan.referenced_blocks() == 2);
    REQUIRE(lost.size() == 1);
    CHECK(lost[0].name == block_named(4));
    const auto changes = changes_of(plan);
    CHECK(std::ranges::count(changes, fmt::format("trash {}+3 0 10", block_named(2).hex())) == 1);
    CHECK(std::ranges::none_of(changes, [](const auto& c) { return c.contains(block_named(3).hex()); }));
}

TEST_CASE("a block wants the most copies that any of its references says", "[keepctl][balance]") {
    const auto all = servers_with_one_mount(5);
    auto options = everything();
    options.by_references = true;
    options.reference_classes = {1};
    for (const auto copies : {std::uint16_t{1}, std::uint16_t{4}}) {
        // By the rules it is 2.
        const std::vector<reference> references{
            {.block = block_named(1), .size = 3, .class_number = 0, .copies = copies},
            {.block = block_named(1), .size = 3}};
        planner plan(all, options);
        std::vector<entry> entries;
        for (std::uint16_t d = 0; d < 5; ++d) entries.push_back(copy_of(1, d, 1 + d));
        test::add_shard(plan, all, entries, references);
        CHECK(changes_of(plan).size() == (copies == 1 ? 3 : 1));
    }
}

TEST_CASE("no block counts on the others, and shards may come in any order", "[keepctl][balance]") {
    // keep-balance shares a map between blocks, and may lose what one of them wants.
    const auto all = servers_with_one_mount(4);
    auto options = everything();
    options.by_references = true;
    options.reference_classes = {0, 1};
    std::mt19937 random(11);
    std::vector<entry> entries;
    std::vector<reference> references;
    for (unsigned b = 0; b < 300; ++b) {
        for (std::uint16_t d = 0; d < 4; ++d) {
            if (random() % 2 == 0) entries.push_back(copy_of(b, d, 1 + static_cast<std::int64_t>(random() % 2000)));
        }
        if (random() % 3 != 0)
            references.push_back({.block = block_named(b),
                                  .size = 3,
                                  .class_number = static_cast<std::uint16_t>(random() % 2),
                                  .copies = static_cast<std::uint16_t>(random() % 4)});
    }
    const auto together = plan_of(all, options, entries, references);
    std::vector<std::string> alone;
    planner by_shards(all, options);
    std::vector<unsigned> digits(256);
    for (unsigned i = 0; i < 256; ++i) digits[i] = i;
    std::ranges::shuffle(digits, random);
    for (const auto first : digits) {
        std::vector<entry> some;
        std::vector<reference> named;
        for (const auto& e : entries) {
            if (e.block.bytes[0] == first) some.push_back(e);
        }
        for (const auto& r : references) {
            if (r.block.bytes[0] == first) named.push_back(r);
        }
        std::ranges::shuffle(named, random);
        sort_entries(some);
        std::ranges::sort(named, {}, &reference::block);
        test::add_shard(by_shards, all, some, named);
    }
    CHECK(changes_of(by_shards) == together);
    for (unsigned b = 0; b < 300; ++b) {
        std::vector<entry> some;
        std::vector<reference> named;
        std::ranges::copy_if(entries, std::back_inserter(some),
                             [&](const entry& e) { return e.block == block_named(b); });
        std::ranges::copy_if(references, std::back_inserter(named),
                             [&](const reference& r) { return r.block == block_named(b); });
        for (auto& line : plan_of(all, options, some, named)) alone.push_back(std::move(line));
    }
    std::ranges::sort(alone);
    CHECK(alone == together);
}

TEST_CASE("of several sizes the referenced one counts, then that of most devices", "[keepctl][balance]") {
    const auto all = servers_with_one_mount(4);
    auto options = everything();
    const auto size_in = [](const std::vector<std::string>& changes) {
        std::set<std::string> out;
        for (const auto& c : changes) {
            CHECK(c.starts_with("pull"));
            out.insert(c.substr(c.find('+') + 1, 1));
        }
        return out;
    };
    const std::set<std::string> three{"3"};
    const std::set<std::string> four{"4"};
    CHECK(size_in(plan_of(all, options, {copy_of(1, 0, 1, 3), copy_of(1, 1, 2, 3), copy_of(1, 2, 3, 4)})) == three);
    CHECK(size_in(plan_of(all, options, {copy_of(1, 0, 1, 3), copy_of(1, 1, 2, 4)})) == four);
    const reference named{.block = block_named(1), .size = 4};
    CHECK(size_in(plan_of(all, options, {copy_of(1, 0, 1, 3), copy_of(1, 1, 2, 3), copy_of(1, 2, 3, 4)}, {named})) ==
          four);
    // No copy has the referenced size: nothing is done, and the block is lost.
    planner plan(all, options);
    std::vector<entry> entries{copy_of(1, 0, 1, 3), copy_of(1, 1, 2, 3), copy_of(1, 2, 3, 3)};
    sort_entries(entries);
    test::add_shard(plan, all, entries, std::span(&named, 1));
    CHECK(plan.counts().lost.blocks == 1);
    CHECK(plan.counts().size_conflicts == 1);
    CHECK(changes_of(plan).empty());
}

TEST_CASE("a server pulls from others, from itself only if there is no other one", "[keepctl][balance]") {
    auto all = servers_with_one_mount(6);
    auto options = everything();
    options.desired = {std::nullopt, 6};
    std::vector<entry> entries;
    for (std::uint16_t d = 0; d < 5; ++d) entries.push_back(copy_of(9, d, 1 + d));
    const auto changes = plan_of(all, options, entries);
    REQUIRE(changes.size() == 1);
    const auto from = changes[0].substr(changes[0].find("from") + 5);
    CHECK(std::ranges::count(from, ' ') == 3);
    CHECK_FALSE(from.contains('5'));

    // Nor if it has a copy on another mount.
    all = servers_with_one_mount(2);
    all.devices.emplace_back("zzzzz-nyw5e-00000000000000a");
    all.mounts.push_back({.server = 0, .device = 2, .classes = 2, .allow_write = true, .allow_trash = true});
    options.desired = {std::nullopt, 3};
    CHECK(plan_of(all, options, {copy_of(9, 0, 1), copy_of(9, 1, 2)}) ==
          std::vector{fmt::format("pull {}+3 2 1 from 1", block_named(9).hex())});

    all = servers_with_one_mount(1);
    all.devices.emplace_back("zzzzz-nyw5e-00000000000000a");
    all.mounts.push_back({.server = 0, .device = 1, .classes = 2, .allow_write = true, .allow_trash = true});
    CHECK(plan_of(all, everything(), {copy_of(9, 0, 1)}) ==
          std::vector{fmt::format("pull {}+3 1 0 from 0", block_named(9).hex())});
}

TEST_CASE("moves for the position alone can be left out", "[keepctl][balance]") {
    const auto all = servers_with_one_mount(6);
    auto options = everything();
    std::vector<entry> entries;
    for (unsigned b = 0; b < 50; ++b) {
        entries.push_back(copy_of(b, 0, 1));
        if (b % 2 == 0) entries.push_back(copy_of(b, 1, 2));
    }
    const auto with = plan_of(all, options, entries);
    options.moves = false;
    const auto without = plan_of(all, options, entries);
    CHECK(without.size() < with.size());
    CHECK(std::ranges::none_of(without, [](const auto& c) { return c.contains(" 4 from"); }));
    CHECK(std::ranges::count_if(without, [](const auto& c) { return c.contains(" 0 from"); }) >= 25);
}

TEST_CASE("what is wanted is clamped to what the mounts can hold, and one more", "[keepctl][balance]") {
    const auto all = servers_with_one_mount(2);
    auto options = everything();
    options.by_references = true;
    options.reference_classes = {1};
    planner plan(all, options);
    std::vector<entry> entries{copy_of(1, 0, 1), copy_of(1, 1, 2)};
    sort_entries(entries);
    const reference named{.block = block_named(1), .size = 3, .class_number = 0, .copies = 1000};
    test::add_shard(plan, all, entries, std::span(&named, 1));
    CHECK(plan.counts().unachievable.blocks == 1);
    CHECK(changes_of(plan).empty());
}

TEST_CASE("copies from the future count as new", "[keepctl][balance]") {
    const auto all = servers_with_one_mount(3);
    planner plan(all, everything());
    std::vector<entry> entries{copy_of(1, 0, 1), copy_of(1, 1, 2), copy_of(1, 2, 5001)};
    sort_entries(entries);
    test::add_shard(plan, all, entries, {});
    CHECK(plan.counts().future_mtimes == 1);
    CHECK(std::ranges::none_of(changes_of(plan), [](const auto& c) { return c.ends_with(" 5001"); }));
}

}  // namespace keepstore::keepctl::balance
