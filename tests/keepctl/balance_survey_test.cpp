#include "keepctl/balance/survey.hpp"
#include "keepctl/cluster/server_work.hpp"
#include "tests/keepctl/balance_world.hpp"

#include <fmt/format.h>
#include <catch2/catch.hpp>

#include <algorithm>

namespace keepstore::keepctl::balance {
namespace {

using std::chrono::seconds;

mount_info mount_of(std::string uuid, std::string device_id, bool writable = true) {
    return {.uuid = std::move(uuid),
            .device_id = std::move(device_id),
            .server = {},
            .allow_write = writable,
            .allow_trash = writable,
            .classes = {{"default", true}}};
}

std::vector<server_answer> two_servers() {
    std::vector<server_answer> out;
    for (int i = 0; i < 2; ++i) {
        out.push_back({.url = fmt::format("http://keep{}", i),
                       .identity = fmt::format("identity-{}", i),
                       .mounts = std::vector{mount_of(fmt::format("uuid-{}", i), fmt::format("disk-{}", i))},
                       .clock_ahead = seconds(0)});
    }
    return out;
}

/// The problems that stop, or those that only withhold trash, one a line; with the option.
std::string texts(const std::vector<problem>& problems, bool stops) {
    std::string out;
    for (const auto& p : problems) {
        if (p.stops == stops) out += fmt::format("{} [{}]\n", p.text, p.option);
    }
    return out;
}

std::string stops(const std::vector<server_answer>& answers, const expectations& expected = {},
                  const allowances& allowed = {}) {
    return texts(make_survey(answers, expected, allowed).problems, true);
}

struct planned {
    survey found;
    planner plan;
    explicit planned(std::size_t copies, std::size_t trashed = 0, std::uint32_t trashed_size = 100)
        : found(make_survey(two_servers(), {}, {})),
          plan(found.all, {.desired = {1}, .by_references = true, .cutoff = 10, .pulls_max = 9, .trashes_max = 9}) {
        std::vector<entry> entries;
        std::vector<reference> references;
        for (std::size_t i = 0; i < copies; ++i) {
            md5_digest name;
            name.bytes[0] = static_cast<std::uint8_t>(i);
            const std::uint32_t size = i < trashed ? trashed_size : 100;
            entries.push_back({.block = name, .size = size, .mount = 0, .mtime = 1});
            if (i >= trashed) references.push_back({.block = name, .size = size});
        }
        test::add_shard(plan, found.all, entries, references);
    }
};

const trash_policy usual{
    .known = true, .signing_ttl = std::chrono::hours(336), .trash_lifetime = std::chrono::hours(1)};

std::string withheld(const planned& p, const reference_facts& references = {}, const trash_policy& policy = usual,
                     const allowances& allowed = {}, const last_run* last = nullptr, bool partial = false,
                     bool stopping = false) {
    return texts(judge_plan(p.found, p.plan, {}, references, policy, allowed, last, partial), stopping);
}

}  // namespace

TEST_CASE("servers and mounts become a cluster", "[keepctl][balance]") {
    auto answers = two_servers();
    // A volume that both mount, one of them read-only: that view is left out.
    answers[0].mounts->push_back(mount_of("shared", "disk-s"));
    answers[1].mounts->push_back(mount_of("shared", "disk-s", false));
    answers[1].mounts->push_back(mount_of("archive", "disk-a", false));
    answers[1].mounts->back().classes = {{"archival", true}, {"default", false}};
    answers[1].mounts->back().replication = 0;
    answers[1].clock_ahead = seconds(-7);
    const auto found = make_survey(answers, {.classes = {"wanted"}}, {});
    CHECK(texts(found.problems, true).empty());
    CHECK(texts(found.problems, false).empty());
    CHECK(found.all.classes == std::vector<std::string>{"archival", "default", "wanted"});
    REQUIRE(found.all.mounts.size() == 4);
    CHECK(found.all.devices == std::vector<std::string>{"uuid-0", "shared", "uuid-1", "archive"});
    CHECK(found.listed_by == std::vector<std::uint16_t>{0, 0, 1, 1});
    CHECK(found.all.mounts[3].classes == 1);
    CHECK(found.all.mounts[3].replication == 1);
    CHECK(found.all.mounts[0].classes == 2);
    CHECK(found.clock_least == seconds(-7));
    CHECK(found.clock_most == seconds(0));
    // Without classes a mount offers the default one.
    answers[0].mounts->front().classes = {};
    CHECK(make_survey(answers, {}, {}).all.mounts[0].classes == 2);
}

TEST_CASE("nothing is done when servers or volumes are not what they were", "[keepctl][balance]") {
    CHECK(stops(two_servers()).empty());

    auto answers = two_servers();
    answers[1].mounts = fail(errc::unavailable, "http://keep1: connection refused");
    CHECK(stops(answers) ==
          "a server does not respond: http://keep1: connection refused [--allow-missing http://keep1]\n");
    CHECK(stops(answers, {}, {.missing = {"http://keep1"}}).empty());

    answers = two_servers();
    answers[1].identity = answers[0].identity;
    CHECK(stops(answers) == "two servers have one identity, identity-0: http://keep0 and http://keep1 []\n");

    answers = two_servers();
    answers[1].mounts->front().device_id = "disk-0";
    CHECK(stops(answers) == "device disk-0 has two volume UUIDs, uuid-0 and uuid-1 []\n");
    // Servers that do not know their devices.
    answers[0].mounts->front().device_id = answers[1].mounts->front().device_id = "";
    CHECK(stops(answers).empty());

    answers = two_servers();
    answers[1].mounts->front().uuid = "uuid-0";
    CHECK(stops(answers) == "volume uuid-0 is device disk-0 on one server and disk-1 on another []\n");

    answers = two_servers();
    for (auto& a : answers) a.mounts->clear();
    CHECK(stops(answers) == "there are no mounts []\n");

    expectations configured{.mounts = {{"http://keep0", "uuid-0"}, {"http://keep1", "uuid-9"}}};
    CHECK(stops(two_servers(), configured) == "mount uuid-9 of http://keep1 is missing [--allow-missing uuid-9]\n");
    CHECK(stops(two_servers(), configured, {.missing = {"uuid-9"}}).empty());

    last_run last{.servers = {{.url = "http://keep1", .mounts = {"uuid-1", "uuid-7"}},
                              {.url = "http://keep2", .mounts = {"uuid-2"}}},
                  .devices = {{.uuid = "uuid-0", .device_id = "disk-0"}, {.uuid = "uuid-1", .device_id = "disk-x"}}};
    CHECK(stops(two_servers(), {.last = &last}) ==
          "volume uuid-1 was device disk-x in the last run and is disk-1 now: is the right disk mounted? "
          "[--allow-changed uuid-1]\n"
          "mount uuid-7 of http://keep1 is missing [--allow-missing uuid-7]\n"
          "server http://keep2 had mount uuid-2 in the last run, and is none of the servers now "
          "[--allow-missing http://keep2]\n");
    CHECK(
        stops(two_servers(), {.last = &last}, {.missing = {"uuid-7", "http://keep2"}, .changed = {"uuid-1"}}).empty());
}

TEST_CASE("clocks that differ withhold trash", "[keepctl][balance]") {
    const auto with = [](std::optional<seconds> ahead) {
        auto answers = two_servers();
        answers[1].clock_ahead = ahead;
        const auto found = make_survey(answers, {}, {});
        CHECK(texts(found.problems, true).empty());
        return texts(found.problems, false);
    };
    CHECK(with(seconds(300)).empty());
    CHECK(with(seconds(-300)).empty());
    CHECK(with(seconds(301)) == "the clock of http://keep1 differs from ours by 301 s []\n");
    CHECK(with(seconds(-7200)) == "the clock of http://keep1 differs from ours by -7200 s []\n");
    CHECK(with(std::nullopt) == "http://keep1 does not say what time it is []\n");
}

TEST_CASE("ages are counted by the clock that is behind all others", "[keepctl][balance]") {
    auto answers = two_servers();
    answers[0].clock_ahead = seconds(200);
    answers[1].clock_ahead = seconds(-100);
    auto found = make_survey(answers, {}, {});
    CHECK(found.clock_least == seconds(-100));
    CHECK(found.clock_most == seconds(200));
    // Our own is one of them.
    answers[1].clock_ahead = seconds(100);
    found = make_survey(answers, {}, {});
    CHECK(found.clock_least == seconds(0));
    CHECK(found.clock_most == seconds(200));
}

TEST_CASE("an index that shrank stops the run", "[keepctl][balance]") {
    const planned p(90);
    last_run last{.devices = {{.uuid = "uuid-0", .device_id = "disk-0", .entries = 100}}};
    CHECK(withheld(p, {}, usual, {}, &last, false, true).empty());
    last.devices[0].entries = 101;
    CHECK(withheld(p, {}, usual, {}, &last, false, true) ==
          "volume uuid-0 lists 90 blocks, and 101 in the last run: is the disk mounted? [--allow-changed uuid-0]\n");
    CHECK(withheld(p, {}, usual, {.changed = {"uuid-0"}}, &last, false, true).empty());
    // A part of the blocks says nothing.
    CHECK(withheld(p, {}, usual, {}, &last, true, true).empty());
    const planned none(0);
    CHECK_FALSE(withheld(none, {}, usual, {}, &last, false, true).empty());
}

TEST_CASE("too much trash is withheld", "[keepctl][balance]") {
    CHECK(withheld(planned(100, 10)).empty());
    const auto much = withheld(planned(100, 11));
    CHECK(much.starts_with("11 of 100 copies (1100 of 10000 bytes) would be trashed, more than 10 %"));
    CHECK_FALSE(much.contains("volume"));
    CHECK(withheld(planned(100, 26))
              .contains("26 of 100 copies on volume uuid-0 would be trashed, more than 25 % "
                        "[--max-trash PERCENT]"));
    CHECK(withheld(planned(100, 26), {}, usual, {.trash_percent = 26}).empty());
    CHECK_FALSE(withheld(planned(100, 26), {}, usual, {.trash_percent = 25}).empty());
    CHECK_FALSE(withheld(planned(100, 1), {}, usual, {.trash_percent = 0}).empty());
    // Many small ones, and few large ones.
    CHECK(withheld(planned(100, 10, 1)).empty());
    CHECK(withheld(planned(100, 11, 1)).starts_with("11 of 100 copies (11 of 8911 bytes)"));
    CHECK(withheld(planned(100, 26, 1)).contains("26 of 100 copies on volume uuid-0"));
    CHECK(withheld(planned(100, 1, 1000)).empty());
    CHECK(withheld(planned(100, 1, 2000)).starts_with("1 of 100 copies (2000 of 11900 bytes)"));
    CHECK(withheld(planned(100, 1, 4000)).contains("1 of 100 copies on volume uuid-0"));
}

TEST_CASE("references that look incomplete withhold trash", "[keepctl][balance]") {
    const planned p(100);
    const reference_facts good{.used = true, .count = 80, .age = std::chrono::hours(24)};
    last_run last{.references = 100};
    CHECK(withheld(p, good, usual, {}, &last).empty());
    auto few = good;
    few.count = 79;
    CHECK(withheld(p, few, usual, {}, &last) ==
          "79 references, and 100 in the last run: is a file cut? [--allow-fewer-references]\n");
    CHECK(withheld(p, few, usual, {.fewer_references = true}, &last).empty());
    few.count = 0;
    CHECK(withheld(p, few) == "the files name no block at all []\n");
    auto old = good;
    old.age += seconds(1);
    CHECK(withheld(p, old) == "the references are 86401s old, more than references_max_age []\n");
}

TEST_CASE("policies that make trashing dangerous withhold it", "[keepctl][balance]") {
    const planned p(100);
    auto policy = usual;
    policy.signing_ttl = std::chrono::minutes(59);
    CHECK(withheld(p, {}, policy) == "BlobSigningTTL is below one hour: blocks being uploaded would be trashed []\n");
    policy = usual;
    policy.trash_lifetime = seconds(0);
    CHECK(withheld(p, {}, policy) ==
          "BlobTrashLifetime is 0: servers delete what they trash [--allow-permanent-delete]\n");
    CHECK(withheld(p, {}, policy, {.permanent_delete = true}).empty());
    policy = {.signing_ttl = std::chrono::hours(336)};
    CHECK(withheld(p, {}, policy) ==
          "without a configuration it is not known whether servers keep trash [--allow-permanent-delete]\n");
}

TEST_CASE("what servers work on is read from _work, or from metrics", "[keepctl][balance]") {
    const auto work = parse_work(
        R"({"started_at":"2026-01-31T00:00:00Z","pull":{"pending":10,"in_progress":1,"outcomes":{"pulled":40,"failed":2},)"
        R"("last":{"items":53,"sha256":"9f86"}},"trash":{"pending":0,"in_progress":3,"outcomes":{},"last":null}})");
    REQUIRE(work);
    CHECK(work->pull.pending == 10);
    CHECK(work->pull.running == 1);
    CHECK(work->pull.last_sha256 == "9f86");
    CHECK(work->pull.outcomes == std::map<std::string, std::int64_t>{{"failed", 2}, {"pulled", 40}});
    CHECK(work->started_at == "2026-01-31T00:00:00Z");
    CHECK(work->trash.running == 3);
    CHECK(work->trash.last_sha256.empty());
    for (const auto* const text :
         {"", "[]", "{}", R"({"pull":{},"trash":{}})", R"({"pull":{"pending":1,"in_progress":0}})",
          R"({"pull":{"pending":-1,"in_progress":0},"trash":{"pending":1,"in_progress":0}})"})
        CHECK_FALSE(parse_work(text));
    const std::string metrics =
        "arvados_keepstore_pull_queue_inprogress_entries 1\narvados_keepstore_pull_queue_pending_entries 2\n"
        "arvados_keepstore_trash_queue_inprogress_entries 3\narvados_keepstore_trash_queue_pending_entries 4\n";
    const auto gauges = work_of_metrics(metrics);
    REQUIRE(gauges);
    CHECK(gauges->pull.running == 1);
    CHECK(gauges->trash.pending == 4);
    CHECK_FALSE(work_of_metrics(metrics.substr(0, metrics.size() - 60)));
}

}  // namespace keepstore::keepctl::balance
