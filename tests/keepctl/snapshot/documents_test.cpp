#include "keepctl/snapshot/documents.hpp"

#include "base/hex.hpp"
#include "base/sha256.hpp"
#include "tests/keepctl/snapshot/golden.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::keepctl;
using namespace keepstore::keepctl::test;

namespace {

std::string with(std::string_view text, std::string_view what, std::string_view instead) {
    std::string out(text);
    const auto at = out.find(what);
    REQUIRE(at != std::string::npos);
    return out.replace(at, what.size(), instead);
}

}  // namespace

TEST_CASE("the documents of a repository have their format", "[keepctl][snapshot][documents]") {
    CHECK(golden_repository.size() == 140);
    CHECK(golden_snapshot.size() == 772);
    CHECK(golden_latest.size() == 474);
    CHECK(to_hex(sha256(golden_snapshot)) == "4f3b78480dd4308a9afa1503845f60ae5fc3e4a2b08206ef14e920ba0f59ec5f");
    const auto repository = decode_repository(golden_repository);
    REQUIRE(repository);
    CHECK(repository->cluster == "zzzzz");
    CHECK(encode(*repository) == golden_repository);
    const auto snapshot = decode_snapshot(golden_snapshot);
    REQUIRE(snapshot);
    CHECK(snapshot->id == golden_id);
    CHECK(snapshot->mounts.at(1).device_id == "s3://https://s3.example/keep");
    CHECK(snapshot->totals == snapshot_totals{.blocks = 2, .replicas = 3, .bytes = 6, .stored_bytes = 9});
    CHECK(encode(*snapshot) == golden_snapshot);
    const auto latest = decode_latest(golden_latest);
    REQUIRE(latest);
    CHECK(latest->sequence == 7);
    CHECK(latest->find(golden_id));
    CHECK(latest->has_removed(latest->removed.at(0).id));
    CHECK(encode(*latest) == golden_latest);
}

TEST_CASE("fields that are not known are kept when latest.json is written again", "[keepctl][snapshot][documents]") {
    auto text = with(golden_latest, R"("bytes":6})", R"("bytes":6,"note":{"b":1,"a":[null]}})");
    text = with(text, R"("removed_at":"2026-11-21T03:15:05Z"})", R"("removed_at":"2026-11-21T03:15:05Z","by":"x"})");
    text = with(text, "}]}\n", "}],\"later\":1}\n");
    const auto latest = decode_latest(text);
    REQUIRE(latest);
    CHECK(encode(*latest) == text);
    auto moved = *latest;
    moved.snapshots.insert(moved.snapshots.begin(), {.id = snapshot_id::make({}, "0123456789abcdef"),
                                                     .sequence = ++moved.sequence,
                                                     .listed_at = {},
                                                     .metadata_sha256 = std::string(64, 'a')});
    const auto again = decode_latest(encode(moved));
    REQUIRE(again);
    CHECK(again->snapshots.at(1).unknown == R"({"note":{"b":1,"a":[null]}})");
    CHECK(again->unknown == R"({"later":1})");
}

TEST_CASE("documents of another format are told from damaged ones", "[keepctl][snapshot][documents]") {
    const auto unsupported = [](const auto& decoded) { return !decoded && decoded.error() == errc::unsupported; };
    CHECK(unsupported(decode_repository(with(golden_repository, "repository-1", "repository-2"))));
    CHECK(unsupported(decode_snapshot(with(golden_snapshot, "snapshot-1", "snapshot-2"))));
    CHECK(unsupported(decode_latest(with(golden_latest, "latest-1", "latest-2"))));
    for (std::size_t cut = 0; cut < golden_latest.size(); ++cut) {
        const auto decoded = decode_latest(golden_latest.substr(0, cut));
        REQUIRE_FALSE(decoded);
        REQUIRE(decoded.error() == errc::checksum_mismatch);
    }
    for (std::size_t cut = 0; cut < golden_snapshot.size(); ++cut)
        REQUIRE_FALSE(decode_snapshot(golden_snapshot.substr(0, cut)));
}

TEST_CASE("documents with wrong values are refused", "[keepctl][snapshot][documents]") {
    const auto latest = [](std::string_view what, std::string_view instead) {
        return decode_latest(with(golden_latest, what, instead)).has_value();
    };
    CHECK_FALSE(latest(R"("sequence":7,"writer")", R"("sequence":-7,"writer")"));
    CHECK_FALSE(latest(R"("sequence":7,"writer")", R"("sequence":6,"writer")"));
    CHECK_FALSE(latest(R"("sequence":7,"writer")", R"("sequence":"7","writer")"));
    CHECK_FALSE(latest("20261121T031500Z-7f3a9c2e51d04b68", "../../../etc/passwd"));
    CHECK_FALSE(latest("20261121T031500Z-7f3a9c2e51d04b68", "20261114T031500Z-02b1f6a7c8d9e0f1"));
    CHECK_FALSE(latest("4f3b", "4F3B"));
    CHECK_FALSE(latest("2026-11-21T03:15:05Z", "today"));
    CHECK_FALSE(latest(R"("removed":[{)", R"("removed":{)"));
    const auto snapshot = [](std::string_view what, std::string_view instead) {
        return decode_snapshot(with(golden_snapshot, what, instead)).has_value();
    };
    CHECK_FALSE(snapshot("index.kinv", "index-0.kinv"));
    CHECK_FALSE(snapshot("index.kinv", "../index.kinv"));
    CHECK_FALSE(snapshot(R"("digits":0)", R"("digits":1)"));
    CHECK_FALSE(snapshot(R"("digits":0)", R"("digits":4)"));
    CHECK_FALSE(snapshot(R"("records":3)", R"("records":4)"));
    CHECK_FALSE(snapshot(R"("bytes":196)", R"("bytes":1099511627776)"));
    CHECK_FALSE(snapshot(R"("replication":1)", R"("replication":-1)"));
    CHECK_FALSE(snapshot(R"(["default"])", R"([1])"));
    // A shard without an object, and sums that fit.
    std::string none(golden_snapshot);
    const auto objects = none.find(R"([{"name":"index)");
    none.replace(objects, none.find("}]", objects) + 2 - objects, "[]");
    CHECK_FALSE(decode_snapshot(with(none, R"("replicas":3)", R"("replicas":0)")));
}

TEST_CASE("ids of snapshots are parsed strictly", "[keepctl][snapshot][documents]") {
    CHECK(golden_id.folder() == "snapshots/20261121T031500Z-7f3a9c2e51d04b68/");
    CHECK(golden_id.nonce() == std::array<std::uint8_t, 8>{0x7f, 0x3a, 0x9c, 0x2e, 0x51, 0xd0, 0x4b, 0x68});
    for (const char* const text : {"", "latest", "20261121T031500Z-7f3a9c2e51d04b6",
                                   "20261121T031500Z-7f3a9c2e51d04b688", "20261121T031500Z-7F3A9C2E51D04B68",
                                   "20261121t031500Z-7f3a9c2e51d04b68", "2026112/T031500Z-7f3a9c2e51d04b68"})
        CHECK_FALSE(snapshot_id::parse(text));
    using namespace std::chrono;
    CHECK(snapshot_id::make(sys_days(2026y / 11 / 21) + 3h + 15min, "7f3a9c2e51d04b68") == golden_id);
    CHECK(random_digits().size() == 16);
    CHECK(random_digits() != random_digits());
}
