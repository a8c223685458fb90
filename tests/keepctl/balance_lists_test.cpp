#include "base/async.hpp"
#include "digest/md5.hpp"
#include "keepctl/balance/kept_proofs.hpp"
#include "keepctl/balance/run.hpp"
#include "tests/keepctl/balance_world.hpp"

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>

#include <string>

namespace keepstore::keepctl::balance::test {
namespace {

md5_digest named(const std::string& text) {
    return digest::md5_of(std::as_bytes(std::span(text)));
}

planned_trash item(const std::string& text, std::uint16_t proven_by) {
    return {.block = {named(text), 3}, .mount = 0, .proven_by = proven_by, .mtime = 1};
}

struct asked {
    std::size_t server;
    md5_digest block;
};

/// Filters the lists with a server that says `answer` of each block. \returns what was asked.
std::vector<asked> filter(kept_proofs*& into, std::vector<std::vector<planned_trash>>& lists,
                          const std::function<result<std::uint64_t>(std::size_t, block_id)>& answer, bool& whole) {
    std::vector<asked> out;
    static std::optional<kept_proofs> proofs;
    proofs.emplace(4, 2, [&](std::size_t server, block_id block) -> awaitable<result<std::uint64_t>> {
        out.push_back({server, block.name});
        co_return answer(server, block);
    });
    into = &*proofs;
    asio::io_context loop;
    const auto filter = [&]() -> awaitable<void> { whole = co_await proofs->filter(lists); };
    spawn(loop.get_executor(), filter());
    loop.run();
    return out;
}

server_work work(std::int64_t pulled, std::int64_t present, std::int64_t failed, std::int64_t pending = 0) {
    return {.started_at = "2026-01-31T00:00:00Z",
            .pull = {.pending = pending, .outcomes = {{"pulled", pulled}, {"present", present}, {"failed", failed}}},
            .trash = {}};
}

}  // namespace

TEST_CASE("what is not proven to be kept is taken off the trash lists", "[keepctl][balance]") {
    std::vector<std::vector<planned_trash>> lists{
        {item("good", 2), item("bad", 2), item("garbage", decision::no_proof)},
        {item("good", 2), item("gone", 1), item("nowhere", decision::cannot_prove), item("cut", 1)}};
    kept_proofs* proofs = nullptr;
    bool whole = false;
    const auto asked = filter(
        proofs, lists,
        [](std::size_t, block_id block) -> result<std::uint64_t> {
            if (block.name == named("bad")) return fail(errc::checksum_mismatch, "its copy is bad");
            if (block.name == named("gone")) return fail(errc::not_found);
            if (block.name == named("cut")) return 2;
            return 3;
        },
        whole);
    CHECK(whole);
    CHECK(asked.size() == 4);
    REQUIRE(lists[0].size() == 2);
    CHECK(lists[0][0].block.name == named("good"));
    CHECK(lists[0][1].block.name == named("garbage"));
    REQUIRE(lists[1].size() == 1);
    CHECK(lists[1][0].block.name == named("good"));
    CHECK(proofs->proven() == 1);
    CHECK(proofs->bad() == 3);
    CHECK(proofs->unknown() == 0);
    CHECK(proofs->impossible() == 1);
    CHECK_FALSE(proofs->first_bad().empty());
}

TEST_CASE("a server that fails as a whole is not asked for every block", "[keepctl][balance]") {
    std::vector<std::vector<planned_trash>> lists(1);
    for (int i = 0; i < 100; ++i) lists[0].push_back(item(std::to_string(i), i < 50 ? 1 : 2));
    kept_proofs* proofs = nullptr;
    bool whole = false;
    const auto asked = filter(
        proofs, lists,
        [](std::size_t server, block_id) -> result<std::uint64_t> {
            if (server == 1) return fail(errc::unavailable, "away");
            return 3;
        },
        whole);
    CHECK(whole);
    // Two at a time.
    CHECK(asked.size() <= 50 + limits::place_failures_max + 1);
    CHECK(lists[0].size() == 50);
    CHECK(proofs->unknown() == 50);
    CHECK(proofs->first_unknown().ends_with("away"));
}

TEST_CASE("a stopped proof changes no list", "[keepctl][balance]") {
    std::vector<std::vector<planned_trash>> lists{{item("a", 1), item("b", 1), item("c", 1)}};
    kept_proofs* proofs = nullptr;
    bool whole = true;
    (void)filter(
        proofs, lists,
        [&](std::size_t, block_id) -> result<std::uint64_t> {
            proofs->stop();
            return fail(errc::checksum_mismatch);
        },
        whole);
    CHECK_FALSE(whole);
    CHECK(lists[0].size() == 3);
}

TEST_CASE("a kept copy is proven by a server that trashes none", "[keepctl][balance]") {
    auto w = world::of_servers(4);
    w.block = named("x");
    w.desired = {2};
    for (std::uint16_t d = 0; d < 4; ++d) w.put(d, 1000 + d);
    const auto check = [&] {
        const auto d = w.decide();
        REQUIRE_FALSE(d.trashes.empty());
        REQUIRE(d.proven_by < w.all.servers.size());
        bool kept = false;
        for (std::size_t i = 0; i < w.all.mounts.size(); ++i) {
            if (w.all.mounts[i].server != d.proven_by) continue;
            for (const auto& t : d.trashes) CHECK(t.mount != i);
            kept = kept || w.copies.contains(w.all.mounts[i].device);
        }
        CHECK(kept);
        return d;
    };
    const auto first = check();
    CHECK(first.proven_by == first.sources.front());

    // Nothing is kept: nothing to prove.
    w.desired = {0};
    CHECK(w.decide().trashes.size() == 4);
    CHECK(w.decide().proven_by == decision::no_proof);
    // Nothing is trashed.
    w.desired = {4};
    CHECK(w.decide().trashes.empty());
    CHECK(w.decide().proven_by == decision::no_proof);

    // The server that clients try first keeps a copy on one mount, and trashes that on the other.
    w.desired = {2};
    w.all.devices.push_back("zzzzz-nyw5e-00000000000000f");
    w.all.mounts.push_back(
        {.server = first.sources.front(), .device = 4, .classes = 1, .allow_write = true, .allow_trash = true});
    w.put(4, 5000);
    CHECK(check().proven_by == first.sources[1]);
    // No other server has one.
    w.desired = {1};
    w.copies.clear();
    w.put(first.sources.front(), 1000);
    w.put(4, 5000);
    CHECK(w.decide().trashes.size() == 1);
    CHECK(w.decide().proven_by == decision::cannot_prove);
}

TEST_CASE("pulls that were not carried out are counted", "[keepctl][balance]") {
    const auto end = compare_pulls(10, work(100, 5, 7), work(106, 6, 9));
    REQUIRE(end);
    CHECK(end->pulled == 6);
    CHECK(end->present == 1);
    CHECK(end->failed == 2);
    CHECK(end->missing == 3);
    // Items of the list before may have ended meanwhile.
    CHECK(compare_pulls(10, work(0, 0, 0), work(11, 0, 0))->missing == 0);
    // It still works on them, has begun anew, or does not say.
    CHECK_FALSE(compare_pulls(10, work(0, 0, 0), work(5, 0, 0, 5)));
    auto again = work(10, 0, 0);
    again.started_at = "2026-01-31T01:00:00Z";
    CHECK_FALSE(compare_pulls(10, work(0, 0, 0), again));
    CHECK_FALSE(compare_pulls(10, work(5, 0, 0), work(3, 0, 0)));
    CHECK_FALSE(compare_pulls(10, server_work{}, work(10, 0, 0)));
}

}  // namespace keepstore::keepctl::balance::test
