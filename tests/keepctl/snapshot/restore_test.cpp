// Which blocks a restoration looks at, and what becomes of them; copies of real bytes are tested by processes.
#include "keepctl/snapshot/restore.hpp"

#include "keepctl/snapshot/create.hpp"
#include "tests/keepctl/snapshot/memory_store.hpp"
#include "tests/support/run.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace keepstore;
using namespace keepstore::keepctl;
using namespace keepstore::keepctl::test;
using namespace std::chrono_literals;

namespace {

/// A block whose name begins with this digit.
md5_digest named(unsigned digit, std::uint8_t number) {
    md5_digest out;
    out.bytes[0] = static_cast<std::uint8_t>(digit << 4);
    out.bytes[15] = number;
    return out;
}

struct seen final : restore_observer {
    void warn(std::string_view text) override { warnings.emplace_back(text); }
    void failed(const block_failure& failure) override { failures.push_back(failure); }
    void shard_done(std::size_t shard) override { shards.push_back(shard); }
    void planned(block_id block, std::string_view from) override { plans.emplace_back(block.name, from); }

    std::vector<std::string> warnings;
    std::vector<block_failure> failures;
    std::vector<std::size_t> shards;
    std::vector<std::pair<md5_digest, std::string>> plans;
};

/// A snapshot of 16 shards with two blocks each, and a place that lacks the second of some.
struct restore_rig {
    memory_store store;
    listed_place place;
    repository repo{store, [](std::string_view) {}, {.pause_max = 1ms, .unknown_max = 40s}};
    std::optional<snapshot_document> document;
    seen observer;
    restore_options options{.jobs = 2, .second_round_pause = 1ms};
    shard_set done{1};

    restore_rig() {
        REQUIRE(run_to_value(repo.init("")));
        for (unsigned digit = 0; digit < 16; ++digit) {
            for (const auto number : {std::uint8_t{1}, std::uint8_t{2}})
                place.entries.push_back({.block = named(digit, number), .size = 3, .mtime = 5});
        }
        snapshot_creation creation(repo, place, {.scope = "place", .digits = 1, .note = [](std::string_view) {}});
        const auto made = run_to_value(creation.run());
        REQUIRE(made);
        auto found = run_to_value(repo.metadata(*made));
        REQUIRE(found);
        document = std::move(*found);
        std::erase_if(place.entries, [](const entry& e) { return e.block == named(3, 2) || e.block == named(7, 2); });
    }
    restore_counts restore(std::vector<block_place*> sources = {}) {
        restoration engine(repo, *document, place, std::move(sources), options, observer);
        end = run_to_value(engine.run(done));
        fatal = engine.fatal();
        shards_done = engine.shards_done();
        incomplete = engine.shards_incomplete();
        CHECK(engine.shards_total() == (options.only ? 2 : 16));
        CHECK(engine.counts().add_up());
        return engine.counts();
    }
    [[nodiscard]] bool was_done(std::size_t shard) const {
        return std::ranges::find(observer.shards, shard) != observer.shards.end();
    }

    outcome<void> end;
    std::optional<error> fatal;
    std::size_t shards_done = 0;
    std::size_t incomplete = 0;
};

}  // namespace

TEST_CASE("blocks that a place lists are left alone, others are looked for in the trash",
          "[keepctl][snapshot][restore]") {
    restore_rig r;
    r.place.in_trash = {named(3, 2), named(7, 2)};
    const auto n = r.restore();
    CHECK(r.end);
    CHECK(n.looked_at == 32);
    CHECK(n.present == 30);
    CHECK(n.untrashed == 2);
    CHECK(n.bytes == 6);
    CHECK(r.place.untrashed == std::vector{named(3, 2), named(7, 2)});
    CHECK(r.place.verified == r.place.untrashed);
    CHECK(r.observer.shards.size() == 16);
}

TEST_CASE("a shard with a block that is not restored is not done", "[keepctl][snapshot][restore]") {
    restore_rig r;
    SECTION("not found") {
        const auto n = r.restore();
        CHECK(n.not_found == 2);
        CHECK(r.observer.failures.size() == 2);
        CHECK(r.observer.failures.front().outcome == "not_found");
    }
    SECTION("bad") {
        r.place.in_trash = r.place.bad = {named(3, 2), named(7, 2)};
        const auto n = r.restore();
        CHECK(n.bad_source == 2);
        CHECK(n.untrashed == 0);
        CHECK(n.bytes == 0);
    }
    SECTION("failed") {
        r.place.untrash_fails = errc::unavailable;
        CHECK(r.restore().failed == 2);
        CHECK_FALSE(r.fatal);
    }
    CHECK(r.end);
    CHECK(r.shards_done == 16);
    CHECK(r.observer.shards.size() == 14);
    CHECK_FALSE(r.was_done(3));
    CHECK_FALSE(r.was_done(7));
    CHECK(r.was_done(4));
}

TEST_CASE("a block that fails is tried once more after all others, if that may pass", "[keepctl][snapshot][restore]") {
    restore_rig r;
    r.place.in_trash = {named(3, 2), named(7, 2)};
    r.place.untrash_fails = errc::unavailable;
    r.options.jobs = 1;
    SECTION("once") {
        r.place.untrash_failures_max = 1;
        CHECK(r.restore().untrashed == 2);
        CHECK(r.place.untrashed == std::vector{named(3, 2), named(7, 2), named(3, 2)});
        CHECK(r.observer.failures.empty());
        // Its shard is the last one that is done.
        REQUIRE(r.observer.shards.size() == 16);
        CHECK(r.observer.shards.back() == 3);
    }
    SECTION("twice") {
        r.place.untrash_failures_max = 3;
        const auto n = r.restore();
        CHECK(n.untrashed == 1);
        CHECK(n.failed == 1);
        CHECK(r.observer.failures.size() == 1);
        CHECK(r.place.untrashed == std::vector{named(3, 2), named(7, 2), named(3, 2), named(7, 2)});
        CHECK(r.observer.shards.size() == 15);
        CHECK_FALSE(r.was_done(3));
        CHECK(r.was_done(7));
    }
    SECTION("it has come back, and its server is away before it is verified") {
        r.place.untrash_fails.reset();
        r.place.verify_failures_max = 1;
        CHECK(r.restore().untrashed == 2);
        CHECK(r.place.untrashed == std::vector{named(3, 2), named(7, 2)});
        CHECK(r.place.verified == std::vector{named(3, 2), named(7, 2), named(3, 2)});
        CHECK(r.was_done(3));
    }
    SECTION("it has come back, and the response was lost") {
        r.place.untrash_failures_max = 1;
        r.place.response_is_lost = true;
        const auto n = r.restore();
        CHECK(n.untrashed == 2);
        CHECK(n.not_found == 0);
        CHECK(r.place.verified == std::vector{named(7, 2), named(3, 2)});
        CHECK(r.was_done(3));
    }
    SECTION("it is nowhere") {
        r.place.untrash_failures_max = 1;
        r.place.in_trash = {named(7, 2)};
        const auto n = r.restore();
        CHECK(n.untrashed == 1);
        CHECK(n.not_found == 1);
    }
    SECTION("a copy out of the trash that is bad is not tried again") {
        r.place.untrash_fails.reset();
        r.place.bad = r.place.in_trash;
        CHECK(r.restore().bad_source == 2);
        CHECK(r.place.untrashed.size() == 2);
    }
    SECTION("not when the run ends early") {
        r.place.untrash_failures_max = 1;
        r.place.list_fails = [](const std::string& prefix) { return prefix == "5"; };
        const auto n = r.restore();
        CHECK(n.left == 1);
        CHECK(r.place.untrashed == std::vector{named(3, 2)});
        CHECK_FALSE(r.was_done(3));
    }
    CHECK(r.end);
}

TEST_CASE("a place that refuses everything ends a restoration", "[keepctl][snapshot][restore]") {
    restore_rig r;
    SECTION("at the trash") {
        r.place.untrash_fails = errc::forbidden;
        const auto n = r.restore();
        CHECK(n.failed == 1);
        CHECK(r.shards_done == 4);
        CHECK_FALSE(r.was_done(3));
    }
    SECTION("at a listing") {
        r.place.list_fails = [](const std::string& prefix) { return prefix == "5"; };
        const auto n = r.restore();
        CHECK(n.looked_at == 10);
        CHECK(r.shards_done == 5);
    }
    REQUIRE(r.fatal);
    CHECK(*r.fatal == errc::forbidden);
    // A full storage is told by copies only.
    restore_rig full;
    full.place.untrash_fails = errc::no_space;
    CHECK(full.restore().failed == 2);
    CHECK_FALSE(full.fatal);
}

TEST_CASE("shards that are done are not looked at again", "[keepctl][snapshot][restore]") {
    restore_rig r;
    for (std::size_t shard = 0; shard < 16; ++shard) {
        if (shard != 7) r.done.insert(shard);
    }
    const auto listings = r.place.listings;
    const auto n = r.restore();
    CHECK(n.looked_at == 2);
    CHECK(n.not_found == 1);
    CHECK(r.place.listings == listings + 1);
    CHECK(r.place.untrashed == std::vector{named(7, 2)});
    CHECK(r.shards_done == 16);
}

TEST_CASE("only the blocks that are named are restored", "[keepctl][snapshot][restore]") {
    restore_rig r;
    r.options.only = std::vector{named(3, 1), named(3, 3), named(7, 2)};
    r.place.in_trash = {named(3, 2), named(7, 2)};
    const auto n = r.restore();
    CHECK(n.looked_at == 2);
    CHECK(n.present == 1);
    CHECK(n.untrashed == 1);
    CHECK(r.place.untrashed == std::vector{named(7, 2)});
}

TEST_CASE("a dry run shows the first place that lists a block, and asks for nothing", "[keepctl][snapshot][restore]") {
    restore_rig r;
    r.options.dry_run = true;
    listed_place first, second;
    second.entries = {{.block = named(7, 2), .size = 3}, {.block = named(7, 1), .size = 3}};
    const auto n = r.restore({&first, &second});
    CHECK(n.copied == 1);
    CHECK(n.not_found == 1);
    CHECK(n.bytes == 3);
    REQUIRE(r.observer.plans.size() == 2);
    CHECK(r.observer.plans[0] == std::pair(named(3, 2), std::string()));
    CHECK(r.observer.plans[1] == std::pair(named(7, 2), std::string("place")));
    CHECK(r.place.untrashed.empty());
}

TEST_CASE("a damaged part ends a restoration before its blocks are touched", "[keepctl][snapshot][restore]") {
    restore_rig r;
    r.place.in_trash = {named(3, 2), named(7, 2)};
    r.store.files.at(r.document->id.folder() + "index-5.kinv").text[80] ^= 1;
    const auto n = r.restore();
    REQUIRE_FALSE(r.end);
    CHECK(r.end.error().code == exit_code::some_failed);
    CHECK(r.end.error().text.find("index-5.kinv") != std::string::npos);
    CHECK(n.untrashed == 1);
    CHECK(r.place.untrashed == std::vector{named(3, 2)});
}

TEST_CASE("work is cut by at least as many digits as the snapshot", "[keepctl][snapshot][restore]") {
    restore_rig r;
    restoration engine(r.repo, *r.document, r.place, {}, r.options, r.observer);
    const auto digits = run_to_value(engine.choose_digits());
    REQUIRE(digits);
    CHECK(*digits == 1);
    r.place.list_fails = [](const std::string&) { return true; };
    restoration other(r.repo, *r.document, r.place, {}, r.options, r.observer);
    const auto refused = run_to_value(other.choose_digits());
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == exit_code::unreachable);

    // By more of them: each shard is a part of an object.
    r.place.list_fails = {};
    r.done = shard_set(2);
    restoration finer(r.repo, *r.document, r.place, {}, r.options, r.observer);
    REQUIRE(run_to_value(finer.run(r.done)));
    CHECK(finer.shards_total() == 256);
    CHECK(finer.counts().looked_at == 32);
    CHECK(finer.counts().not_found == 2);
}
