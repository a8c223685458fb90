// How snapshots end, and what is left of creates that did not: against a store in memory.
#include "keepctl/snapshot/prune.hpp"

#include "tests/keepctl/snapshot/snapshot_rig.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace keepstore;
using namespace keepstore::keepctl;
using namespace keepstore::keepctl::test;
using namespace std::chrono_literals;
using rig = snapshot_rig;
using fault = memory_store::fault;

TEST_CASE("a prune removes first from the list, and deletes after the grace time", "[keepctl][snapshot][prune]") {
    rig r;
    const auto a = r.made();
    const auto b = r.made();
    const auto c = r.made();
    CHECK(r.pruned({.last = 2}).objects_deleted == 0);
    auto listed = r.store.latest();
    CHECK_FALSE(listed.find(a));
    CHECK(listed.find(b));
    CHECK(listed.find(c));
    CHECK(listed.has_removed(a));
    CHECK(listed.sequence == 4);
    CHECK(r.store.objects_of(a).size() == 17);

    r.pass(59min);
    CHECK(r.pruned({.last = 2}).plan.waiting.size() == 1);
    CHECK(r.store.latest().sequence == 4);
    CHECK(r.store.objects_of(a).size() == 17);
    r.pass(1min);
    r.store.removed.clear();
    const auto end = r.pruned({.last = 2});
    CHECK(end.objects_deleted == 17);
    CHECK(end.snapshots_deleted == 1);
    CHECK(r.store.removed.size() == 17);
    CHECK(r.store.removed.back() == a.folder() + "snapshot.json");
    CHECK(r.store.objects_of(a).empty());
    CHECK(r.store.latest().removed.empty());
    CHECK(r.store.latest().sequence == 5);
    CHECK_FALSE(r.checked(b).damage);
    CHECK_FALSE(r.checked(c).damage);
}

TEST_CASE("each removed snapshot has its own grace time", "[keepctl][snapshot][prune]") {
    rig r;
    const auto a = r.made();
    const auto b = r.made();
    const auto c = r.made();
    (void)r.pruned({.last = 2});
    r.pass(30min);
    (void)r.pruned({.last = 1});
    r.pass(30min);
    CHECK(r.pruned({.last = 1}).snapshots_deleted == 1);
    CHECK(r.store.objects_of(a).empty());
    CHECK(r.store.objects_of(b).size() == 17);
    CHECK_FALSE(r.store.latest().has_removed(a));
    CHECK(r.store.latest().has_removed(b));
    r.pass(30min);
    CHECK(r.pruned({.last = 1}).snapshots_deleted == 1);
    CHECK(r.store.objects_of(b).empty());
    CHECK(r.store.latest().removed.empty());
    CHECK_FALSE(r.checked(c).damage);
}

TEST_CASE("a snapshot that is pruned while it is read is not called damaged", "[keepctl][snapshot][prune]") {
    rig r;
    const auto id = r.made();
    const auto listed = *r.store.latest().find(id);
    const auto document = run_to_value(r.repo.metadata(listed));
    REQUIRE(document);
    (void)r.made();
    (void)r.pruned({.last = 1}, 0s);
    REQUIRE(r.store.objects_of(id).empty());
    const auto read = run_to_value(r.repo.metadata(listed));
    REQUIRE_FALSE(read);
    CHECK(read.error().text == "snapshot " + id.text() + " was pruned");
    CHECK(read.error().code == exit_code::some_failed);
    const auto part = run_to_value(r.repo.read_inventory(*document, 3));
    REQUIRE_FALSE(part);
    CHECK(part.error() == errc::checksum_mismatch);
    CHECK(run_to_value(r.repo.explain(id, part.error().text)).text == read.error().text);
    const auto checked = run_to_value(check_snapshot(r.repo, listed, true));
    REQUIRE(checked);
    CHECK(checked->damage);
    CHECK(checked->pruned);
}

TEST_CASE("the newest snapshot stays, whatever the rules", "[keepctl][snapshot][prune]") {
    rig r;
    (void)r.made();
    r.pass(100h);
    const auto last = r.made();
    r.pass(100h);
    CHECK(r.pruned({.within = 1h}, 0s).plan.listed.size() == 2);
    CHECK(r.store.latest().snapshots.size() == 1);
    CHECK(r.store.latest().find(last));
}

TEST_CASE("a dry run of prune changes nothing", "[keepctl][snapshot][prune]") {
    rig r;
    (void)r.made();
    (void)r.made();
    const auto before = r.store.files.size();
    r.store.swaps = 0;
    const auto end = run_to_value(prune(r.repo, {.rules = {.last = 1}, .grace = 0s, .dry_run = true}));
    REQUIRE(end);
    CHECK(end->plan.listed.size() == 2);
    CHECK(end->plan.listed[1].kept_by.empty());
    CHECK(r.store.swaps == 0);
    CHECK(r.store.files.size() == before);
}

TEST_CASE("a prune that stopped halfway is gone on with", "[keepctl][snapshot][prune]") {
    rig r;
    const auto a = r.made();
    const auto b = r.made();
    CHECK(r.pruned({.last = 1}).plan.listed.size() == 2);
    r.pass(2h);
    r.store.remove_fails = [](const std::string& key) { return key.ends_with("index-8.kinv"); };
    const auto end = run_to_value(prune(r.repo, {.rules = {.last = 1}, .grace = 1h}));
    REQUIRE_FALSE(end);
    CHECK(end.error().code == exit_code::not_finished);
    CHECK(end.error().text.find("index-8.kinv") != std::string::npos);
    CHECK(r.store.latest().has_removed(a));
    const auto left = r.store.objects_of(a);
    CHECK(std::ranges::find(left, "snapshot.json") != left.end());
    r.store.remove_fails = {};
    CHECK(r.pruned({.last = 1}).snapshots_deleted == 1);
    CHECK(r.store.objects_of(a).empty());
    CHECK_FALSE(r.checked(b).damage);
}

TEST_CASE("orphans go once they are old, and are never listed after that", "[keepctl][snapshot][prune]") {
    rig r;
    const auto kept = r.made();
    r.store.faults = {fault::lost};
    r.store.last_fault_stays = true;
    REQUIRE_FALSE(r.create());
    r.store.faults.clear();
    const auto found = run_to_value(find_orphans(r.repo));
    REQUIRE(found);
    REQUIRE(found->size() == 1);
    const auto orphan = found->front();
    CHECK(orphan.objects == 17);
    CHECK(orphan.has_metadata);
    CHECK(orphan.newest == r.store.clock);

    r.pass(24h);
    CHECK(r.pruned({.last = 9}, 0s).plan.orphans_young == 1);
    CHECK(r.store.objects_of(orphan.id).size() == 17);
    r.pass(1s);
    // Its create wakes up between the two steps of the prune.
    const auto unlisted = run_to_value(read_unlisted(r.repo, orphan.id));
    REQUIRE(unlisted);
    CHECK(r.pruned({.last = 9}, 1h).plan.orphans.size() == 1);
    bool attempted = false;
    const auto late =
        run_to_value(r.repo.change(listing_edit(r.repo, unlisted->document, unlisted->sha256), attempted));
    REQUIRE_FALSE(late);
    CHECK(late.error().code == exit_code::some_failed);
    CHECK(late.error().text.find("being removed") != std::string::npos);
    CHECK_FALSE(attempted);
    r.pass(1h);
    CHECK(r.pruned({.last = 9}, 1h).snapshots_deleted == 1);
    CHECK(r.store.objects_of(orphan.id).empty());
    CHECK_FALSE(r.checked(kept).damage);
}

TEST_CASE("what is not ours, or young, is left alone by a prune", "[keepctl][snapshot][prune]") {
    rig r;
    (void)r.made();
    r.store.put("snapshots/readme", "x");
    r.store.put("probe/old", "x");
    // A create that has begun long ago, and goes on.
    const std::string slow = "snapshots/20261121T031500Z-7f3a9c2e51d04b68/";
    r.store.put(slow + "index-0.kinv", "x");
    r.pass(25h);
    r.store.put("probe/young", "x");
    r.store.put(slow + "index-1.kinv", "x");
    CHECK(r.pruned({.last = 1}, 0s).plan.orphans_young == 1);
    CHECK(r.store.files.contains(slow + "index-0.kinv"));
    CHECK(r.store.files.contains("snapshots/readme"));
    CHECK_FALSE(r.store.files.contains("probe/old"));
    CHECK(r.store.files.contains("probe/young"));
    CHECK(r.store.unfinished_before == r.repo.now() - limits::orphan_age);
}

TEST_CASE("a snapshot that is listed while a prune looks is no orphan", "[keepctl][snapshot][prune]") {
    rig r;
    (void)r.made();
    r.store.faults = {fault::lost};
    r.store.last_fault_stays = true;
    REQUIRE_FALSE(r.create());
    r.store.faults.clear();
    r.store.last_fault_stays = false;
    const auto orphan = run_to_value(find_orphans(r.repo))->front().id;
    r.pass(25h);
    // Listed by another process just before the swap of the prune.
    repository other(r.store, [](std::string_view) {}, {.pause_max = 1ms, .unknown_max = 40s});
    REQUIRE(run_to_value(other.open()));
    REQUIRE(run_to_value(other.set_clock()));
    auto unlisted = run_to_value(read_unlisted(r.repo, orphan));
    REQUIRE(unlisted);
    r.store.before_swap = [&] {
        bool attempted = false;
        REQUIRE(run_to_value(other.change(listing_edit(other, unlisted->document, unlisted->sha256), attempted)));
    };
    CHECK(r.pruned({.last = 9}, 0s).plan.orphans.empty());
    CHECK(r.store.latest().find(orphan));
    CHECK_FALSE(r.checked(orphan).damage);
}

TEST_CASE("a damaged orphan is not listed", "[keepctl][snapshot]") {
    rig r;
    r.store.faults = {fault::lost};
    r.store.last_fault_stays = true;
    REQUIRE_FALSE(r.create());
    r.store.faults.clear();
    const auto id = run_to_value(find_orphans(r.repo))->front().id;
    CHECK(run_to_value(read_unlisted(r.repo, id)));
    r.store.files.at(id.folder() + "index-2.kinv").text[90] ^= 1;
    const auto refused = run_to_value(read_unlisted(r.repo, id));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == exit_code::some_failed);
    CHECK(refused.error().text.find("index-2.kinv") != std::string::npos);
    r.store.files.erase(id.folder() + "snapshot.json");
    CHECK(run_to_value(read_unlisted(r.repo, id)).error().text.find("snapshot.json") != std::string::npos);
}
