#include "keepctl/balance/last_run.hpp"
#include "keepctl/balance/limited_list.hpp"
#include "keepctl/balance/rules.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <functional>
#include <random>

namespace keepstore::keepctl::balance {

TEST_CASE("rules are read", "[keepctl][balance]") {
    const auto got = parse_rules(R"(
desired: {default: 2, archival: 1}
servers:
  - {url: "http://keep0:25107/", uuid: zzzzz-bi6l4-000000000000000}
  - {url: "http://keep1:25107", uuid: zzzzz-bi6l4-000000000000001}
limits: {pull_per_server: 1000, trash_per_server: 0, trash_percent: 5, trash_percent_mount: 50, shrink_percent: 1}
references_max_age: 36h
)",
                                 {});
    REQUIRE(got);
    CHECK(got->desired == std::map<std::string, std::uint32_t>{{"default", 2}, {"archival", 1}});
    CHECK(got->identities.at("http://keep0:25107") == "zzzzz-bi6l4-000000000000000");
    CHECK(got->pull_per_server == 1000);
    CHECK(got->trash_per_server == 0);
    CHECK(got->trash_percent == 5);
    CHECK(got->trash_percent_mount == 50);
    CHECK(got->shrink_percent == 1);
    CHECK(got->references_max_age == std::chrono::hours(36));
    // What is not there is as it was.
    const auto few = parse_rules("limits: {trash_percent: 3}\n", {.desired = {{"x", 3}}});
    REQUIRE(few);
    CHECK(few->desired.at("x") == 3);
    CHECK(few->trash_percent == 3);
    CHECK(few->trash_percent_mount == 25);
    CHECK(parse_rules("", {}));
}

TEST_CASE("a mistake in the rules is an error with its line", "[keepctl][balance]") {
    const auto wrong = [](std::string_view text) {
        const auto got = parse_rules(text, {});
        return got ? std::string("taken") : got.error();
    };
    CHECK(wrong("desired: {default: 2}\ndesierd: {x: 1}\n").starts_with("line 2: unknown key \"desierd\""));
    CHECK(wrong("limits: {trash_percents: 3}\n") == "line 1: limits: unknown key \"trash_percents\"");
    CHECK(wrong("servers: [{url: a, uuid: b, extra: c}]\n") == "line 1: servers: unknown key \"extra\"");
    for (const auto* const text : {"desired: 2",
                                   "desired: {default: -1}",
                                   "desired: {default: two}",
                                   "desired: {default: 1.5}",
                                   "desired: {default: 1001}",
                                   "desired: {\"a b\": 1}",
                                   "servers: {url: a}",
                                   "servers: [a]",
                                   "servers: [{url: a}]",
                                   "servers: [{uuid: b}]",
                                   "servers: [{url: a, uuid: 1}]",
                                   "servers: [{url: a, uuid: b}, {url: a/, uuid: c}]",
                                   "limits: 3",
                                   "limits: {trash_percent: 101}",
                                   "limits: {trash_percent: -1}",
                                   "limits: {pull_per_server: 1000001}",
                                   "references_max_age: 24",
                                   "references_max_age: -1h",
                                   "references_max_age: soon",
                                   "[]",
                                   "x",
                                   "desired: {",
                                   "desired: [default]"}) {
        INFO(text);
        CHECK(wrong(text) != "taken");
    }
}

TEST_CASE("a limited list keeps the best, and of equal ones the first", "[keepctl][balance]") {
    struct item {
        int rank;
        int number;
        [[nodiscard]] bool operator==(const item&) const = default;
    };
    struct lower {
        bool operator()(const item& a, const item& b) const { return a.rank < b.rank; }
    };
    std::mt19937 random(7);
    for (const std::size_t most : {0U, 1U, 2U, 10U, 1000U}) {
        limited_list<item, lower> list(most);
        std::vector<item> all;
        for (int i = 0; i < 500; ++i) {
            all.push_back({static_cast<int>(random() % 9), i});
            list.offer(all.back());
        }
        // Joined of parts that were filled at the same time, two at a time, each behind the bar of those before.
        limited_list<item, lower> joined(most);
        for (std::size_t begin = 0; begin < all.size();) {
            std::vector<limited_list<item, lower>> parts(2, limited_list<item, lower>(most, joined.worst()));
            for (auto& part : parts) {
                const auto end = std::min(all.size(), begin + random() % 60);
                for (; begin < end; ++begin) part.offer(all[begin]);
            }
            for (auto& part : parts) joined.join(part);
        }
        CHECK(joined.deferred() == list.deferred());
        CHECK(joined.size() == list.size());
        CHECK(joined.take() == limited_list(list).take());
        std::ranges::sort(
            all, [](const item& x, const item& y) { return x.rank != y.rank ? x.rank < y.rank : x.number < y.number; });
        CHECK(list.deferred() == all.size() - std::min(most, all.size()));
        all.resize(std::min(most, all.size()));
        CHECK(list.take() == all);
    }
}

TEST_CASE("the last run is written in its format, and read back", "[keepctl][balance]") {
    last_run run{.ended_at = std::chrono::sys_seconds(std::chrono::seconds(1'795'226'920)),
                 .references = 5,
                 .servers = {{.url = "http://keep0:25107", .mounts = {"zzzzz-nyw5e-000000000000000"}}},
                 .devices = {{.uuid = "zzzzz-nyw5e-000000000000000", .device_id = "8:1", .entries = 12}}};
    run.servers[0].pull.add(3, "aa");
    run.servers[0].pull.add(4, "bb");
    const auto text = encode_last_run(run);
    CHECK(text == R"({"format":"keepctl-balance-1","ended_at":"2026-11-21T02:08:40Z","references":5,)"
                  R"("servers":[{"url":"http://keep0:25107","mounts":["zzzzz-nyw5e-000000000000000"],)"
                  R"("pull_items":4,"pull_sha256":["bb","aa"],"trash_items":0,"trash_sha256":[]}],)"
                  R"("devices":[{"uuid":"zzzzz-nyw5e-000000000000000","device_id":"8:1","entries":12}]})"
                  "\n");
    CHECK(decode_last_run(text) == run);
    for (std::size_t cut = 0; cut + 2 < text.size(); ++cut) CHECK_FALSE(decode_last_run(text.substr(0, cut)));
    auto other = text;
    other.replace(other.find("balance-1"), 9, "balance-2");
    CHECK_FALSE(decode_last_run(other));

    // The same list again is no new one; old ones go.
    auto& lists = run.servers[0].pull;
    for (const auto* const sha : {"aa", "cc", "dd", "ee"}) lists.add(1, sha);
    CHECK(lists.sha256 == std::vector<std::string>{"ee", "dd", "cc", "aa"});
}

}  // namespace keepstore::keepctl::balance
