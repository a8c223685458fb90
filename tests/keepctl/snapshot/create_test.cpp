// How snapshots are made and checked, against a store and a place in memory.
#include "base/hex.hpp"
#include "base/sha256.hpp"
#include "tests/keepctl/snapshot/snapshot_rig.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace keepstore;
using namespace keepstore::keepctl;
using namespace keepstore::keepctl::test;
using namespace std::chrono_literals;
using keepstore::test::run_and_cancel;
using rig = snapshot_rig;
using fault = memory_store::fault;

TEST_CASE("a snapshot has every copy that was listed, and its sums", "[keepctl][snapshot][create]") {
    rig r;
    r.options.digits = GENERATE(0U, 1U, 2U);
    const auto end = r.create();
    REQUIRE(end);
    CHECK(end->blocks == 300);
    CHECK(end->replicas == 600);
    const auto document = run_to_value(r.repo.metadata(*end));
    REQUIRE(document);
    CHECK(document->digits == *r.options.digits);
    CHECK(document->mounts.size() == 2);
    CHECK(document->scope == "cluster");
    CHECK(document->completed_at >= document->started_at);
    CHECK(document->totals.stored_bytes == 2 * document->totals.bytes);
    std::vector<entry> found;
    for (std::size_t shard = 0; shard < document->objects.size(); ++shard) {
        const auto buffer = run_to_value(r.repo.read_inventory(*document, shard));
        REQUIRE(buffer);
        CHECK((*buffer)->entries().size() == document->objects[shard].records);
        found.insert(found.end(), (*buffer)->entries().begin(), (*buffer)->entries().end());
    }
    auto wanted = r.place.entries;
    sort_entries(wanted);
    CHECK(found == wanted);
    CHECK_FALSE(r.checked(end->id).damage);
    CHECK(r.store.latest().snapshots.front().metadata_sha256 ==
          to_hex(sha256(r.store.files.at(end->id.folder() + "snapshot.json").text)));
}

TEST_CASE("what cannot be listed is no snapshot, and leaves nothing", "[keepctl][snapshot][create]") {
    rig r;
    (void)r.made();
    const auto before = r.store.files.size();
    SECTION("a shard") {
        r.place.list_fails = [](const std::string& prefix) { return prefix == "7"; };
        CHECK(r.refused_with("blocks 7...") == exit_code::not_finished);
    }
    SECTION("the last shard") {
        r.place.list_fails = [](const std::string& prefix) { return prefix == "f"; };
        CHECK(r.refused_with("blocks f...") == exit_code::not_finished);
    }
    SECTION("no block") {
        r.options.scope = "elsewhere";
        r.place.entries.clear();
        CHECK(r.refused_with("--allow-empty-source") == exit_code::refused);
    }
    SECTION("a mount that is gone") {
        r.place.all_mounts().erase(r.place.all_mounts().begin());
        for (auto& e : r.place.entries) e.mount = 0;
        CHECK(r.refused_with("--allow-missing m0") == exit_code::not_finished);
    }
    SECTION("a mount on another device") {
        r.place.all_mounts()[1].device_id = "other";
        CHECK(r.refused_with("--allow-missing m1") == exit_code::not_finished);
    }
    SECTION("an object that cannot be written") {
        r.store.write_fails = [](const std::string& key) { return key.ends_with("index-9.kinv"); };
        CHECK(r.refused_with("full") == exit_code::not_finished);
    }
    SECTION("the metadata") {
        r.store.write_fails = [](const std::string& key) { return key.ends_with("snapshot.json"); };
        CHECK(r.refused_with("full") == exit_code::not_finished);
    }
    SECTION("time is over") {
        r.options.time_max = 0ns;
        CHECK(r.refused_with("--max-duration") == exit_code::not_finished);
    }
    CHECK(r.store.latest().snapshots.size() == 1);
    CHECK(r.store.files.size() == before);
}

TEST_CASE("mounts that may be missing are no reason", "[keepctl][snapshot][create]") {
    rig r;
    (void)r.made();
    r.place.all_mounts()[1].device_id = "other";
    r.options.allow_missing = {"m1"};
    (void)r.made();
    // Another place is another matter.
    r.options.allow_missing.clear();
    r.options.scope = "elsewhere";
    r.place.all_mounts()[0].device_id = "another one";
    (void)r.made();
    CHECK(r.store.latest().snapshots.size() == 3);
}

TEST_CASE("a mount that lists far fewer blocks makes no snapshot", "[keepctl][snapshot][create]") {
    rig r;
    r.place.entries = entries_on(2, 3000);
    (void)r.made();
    const auto drop = [&](std::uint16_t mount, std::size_t keep) {
        std::size_t seen = 0;
        std::erase_if(r.place.entries, [&](const entry& e) { return e.mount == mount && ++seen > keep; });
    };
    SECTION("few are gone") {
        drop(1, 2750);
        (void)r.made();
    }
    SECTION("more than a tenth") {
        drop(1, 2000);
        CHECK(r.refused_with("mount m1 lists 2000 blocks where it had 3000") == exit_code::not_finished);
        r.options.allow_missing = {"m1"};
        (void)r.made();
    }
    SECTION("all") {
        drop(0, 0);
        CHECK(r.refused_with("--allow-missing m0") == exit_code::not_finished);
    }
    SECTION("more than there were") {
        auto more = entries_on(2, 1000, 2);
        r.place.entries.insert(r.place.entries.end(), more.begin(), more.end());
        (void)r.made();
    }
    SECTION("cut by other digits") {
        r.options.digits = 2;
        drop(1, 2000);
        CHECK(r.refused_with("mount m1") == exit_code::not_finished);
        r.options.digits = 0;
        CHECK(r.refused_with("mount m1") == exit_code::not_finished);
    }
    SECTION("the last one cannot be read") {
        drop(1, 2000);
        const auto last = r.store.latest().snapshots.front().id;
        r.store.files.at(last.folder() + "index-3.kinv").text[80] ^= 1;
        (void)r.made();
        CHECK(std::ranges::any_of(r.notes, [](const auto& n) { return n.find("index-3.kinv") != std::string::npos; }));
    }
}

TEST_CASE("few blocks that come and go are chance", "[keepctl][snapshot][create]") {
    rig r;
    r.place.entries = entries_on(2, 30);
    (void)r.made();
    r.place.entries = entries_on(2, 20);
    (void)r.made();
    // But not that a mount has none at all.
    std::erase_if(r.place.entries, [](const entry& e) { return e.mount == 0; });
    CHECK(r.refused_with("--allow-missing m0") == exit_code::not_finished);
}

TEST_CASE("data stay when a swap was sent, and go when none was", "[keepctl][snapshot][create]") {
    rig r(std::chrono::milliseconds(100));
    SECTION("it is not known") {
        r.store.faults = {fault::no_effect};
        r.store.last_fault_stays = true;
        CHECK(r.refused_with("adopt") == exit_code::not_finished);
        CHECK(r.store.files.size() > 2);
    }
    SECTION("others were faster") {
        r.store.faults = {fault::lost};
        r.store.last_fault_stays = true;
        CHECK(r.refused_with("adopt") == exit_code::conflict);
        CHECK(r.store.files.size() > 2);
    }
    SECTION("the list cannot be read before it") {
        unsigned reads = 0;
        r.store.read_fails = [&](const std::string& key) { return key == latest_key && ++reads > 1; };
        CHECK(r.refused_with("latest.json") == exit_code::not_finished);
        CHECK(r.store.files.size() == 2);
    }
    SECTION("an object has vanished before it") {
        unsigned reads = 0;
        r.store.read_fails = [&](const std::string& key) {
            if (key == latest_key && ++reads == 2)
                std::erase_if(r.store.files, [](const auto& f) { return f.first.ends_with("index-5.kinv"); });
            return false;
        };
        CHECK(r.refused_with("index-5.kinv") == exit_code::some_failed);
        CHECK(r.store.files.size() == 2);
    }
    SECTION("the answer was lost") {
        r.store.faults = {fault::lost_answer};
        const auto id = r.made();
        CHECK_FALSE(r.checked(id).damage);
    }
}

TEST_CASE("a create that is cancelled leaves nothing", "[keepctl][snapshot][create]") {
    rig r;
    const auto before = r.store.files.size();
    snapshot_creation creation(r.repo, r.place, r.options);
    std::optional<outcome<listed_snapshot>> made;
    (void)run_and_cancel(put_into(creation.run(), made), [&] { return creation.progress().shards_done >= 1; });
    const auto& end = *made;
    if (end) {
        CHECK_FALSE(r.checked(end->id).damage);
    } else {
        CHECK(end.error().code == exit_code::interrupted);
        CHECK(r.store.files.size() == before);
        CHECK(r.store.latest().snapshots.empty());
    }
}

TEST_CASE("damage is found by what sees it", "[keepctl][snapshot][check]") {
    rig r;
    const auto id = r.made();
    const auto path = id.folder() + "index-a.kinv";
    const auto good = r.store.files;
    const auto damage = [&](bool read) { return r.checked(id, read).damage.value_or("none"); };
    CHECK(damage(true) == "none");
    r.store.files.at(path).text[100] ^= 1;
    CHECK(damage(false) == "none");
    CHECK(damage(true).find("index-a.kinv") != std::string::npos);
    r.store.files.at(path).text.pop_back();
    CHECK(damage(false).find("index-a.kinv") != std::string::npos);
    r.store.files.erase(path);
    CHECK(damage(false).find("missing") != std::string::npos);
    r.store.files = good;
    r.store.files.at(id.folder() + "snapshot.json").text += "\n";
    CHECK(damage(false).find("SHA-256") != std::string::npos);
    r.store.files.erase(id.folder() + "snapshot.json");
    CHECK(damage(false).find("snapshot.json") != std::string::npos);
    // Sums that are not those of the objects, with a digest that is right.
    r.store.files = good;
    auto& metadata = r.store.files.at(id.folder() + "snapshot.json").text;
    metadata.replace(metadata.find("\"blocks\":300"), 12, "\"blocks\":301");
    auto& latest = r.store.files.at("latest.json").text;
    latest.replace(latest.find(r.store.latest().snapshots[0].metadata_sha256), 64, to_hex(sha256(metadata)));
    CHECK(damage(true).find("sums") != std::string::npos);
    CHECK(damage(false).find("sums") != std::string::npos);
    // Of an object with the right digest, records and name, of another snapshot.
    r.store.files = good;
    const auto other = r.made();
    r.store.files.at(path).text = r.store.files.at(other.folder() + "index-a.kinv").text;
    CHECK(damage(false) == "none");
    CHECK(damage(true).find("index-a.kinv") != std::string::npos);
    const auto listed = r.store.latest();
    CHECK(run_to_value(newest_whole(r.repo, listed, std::nullopt, true)) == other);
    CHECK(run_to_value(newest_whole(r.repo, listed, other, true)) == std::nullopt);
    CHECK(run_to_value(newest_whole(r.repo, listed, other, false)) == id);
}

TEST_CASE("objects and sums that are well-formed and not those of the snapshot are damage",
          "[keepctl][snapshot][check]") {
    rig r;
    const auto id = r.made();
    SECTION("an object that says something else") {
        std::vector<entry> entries;
        for (const auto& e : r.place.entries) {
            if (e.block.hex().starts_with("a")) entries.push_back(e);
        }
        sort_entries(entries);
        const auto text_of = [&] {
            const inventory object(id, "a", entries);
            std::string out(static_cast<std::size_t>(object.size()), '\0');
            object.copy(0, std::as_writable_bytes(std::span(out)));
            return out;
        };
        auto& file = r.store.files.at(id.folder() + "index-a.kinv").text;
        REQUIRE(file == text_of());
        ++entries.front().mtime;
        file = text_of();
        CHECK(r.checked(id, true).damage.value_or("none") == "index-a.kinv: its SHA-256 is not that in snapshot.json");
    }
    SECTION("a sum that latest.json does not have") {
        auto& metadata = r.store.files.at(id.folder() + "snapshot.json").text;
        const auto at = metadata.find("\"stored_bytes\":") + 15;
        metadata[at] = metadata[at] == '1' ? '2' : '1';
        auto& latest = r.store.files.at("latest.json").text;
        latest.replace(latest.find(r.store.latest().snapshots[0].metadata_sha256), 64, to_hex(sha256(metadata)));
        CHECK(r.checked(id, true).damage.value_or("none").contains("sums"));
    }
    CHECK_FALSE(r.checked(id, false).damage);
}

TEST_CASE("no more snapshots are listed than latest.json may have", "[keepctl][snapshot][create]") {
    rig r;
    (void)r.made();
    bool attempted = false;
    REQUIRE(run_to_value(r.repo.change(
        [](latest_document& latest) -> awaitable<outcome<bool>> {
            auto one = latest.snapshots.front();
            for (std::size_t i = 1; i < limits::snapshots_max; ++i) {
                one.id = snapshot_id::make(std::chrono::sys_seconds(0s), fmt::format("{:016x}", i));
                one.sequence = ++latest.sequence;
                latest.snapshots.insert(latest.snapshots.begin(), one);
            }
            co_return true;
        },
        attempted)));
    CHECK(r.refused_with("prune") == exit_code::refused);
    CHECK(r.store.latest().snapshots.size() == limits::snapshots_max);
}
