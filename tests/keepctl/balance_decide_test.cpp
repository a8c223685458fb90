#include "tests/keepctl/balance_world.hpp"

#include "digest/md5.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

namespace keepstore::keepctl::balance::test {
namespace {

constexpr std::string_view block_orders[] = {"3eab2d5fc9681074", "097dba52e648f1c3", "c5b4e023f8a7d691",
                                             "9d81c02e76a3bf54"};

md5_digest known_block(std::size_t number) {
    const auto text = fmt::format("{:064x}", number);
    return digest::md5_of(std::as_bytes(std::span(text)));
}

/// Sixteen servers; the n-th one that clients try has device slot(n).
struct ranked : world {
    explicit ranked(std::size_t number = 0) : world(of_servers(16)), order(block_orders[number]) {
        block = known_block(number);
        desired = {2};
    }
    [[nodiscard]] std::uint16_t slot(std::size_t rank) const {
        return static_cast<std::uint16_t>(std::string_view("0123456789abcdef").find(order[rank]));
    }
    [[nodiscard]] std::size_t rank(std::uint16_t mount_number) const {
        return order.find("0123456789abcdef"[all.mounts[mount_number].server]);
    }
    /// Copies at these ranks, each with its own mtime, old.
    ranked& at(std::vector<std::size_t> ranks) {
        for (const auto r : ranks) put(slot(r), static_cast<std::int64_t>(1000 + r));
        return *this;
    }
    [[nodiscard]] std::set<std::size_t> pulls() const {
        std::set<std::size_t> out;
        for (const auto& p : decide().pulls) out.insert(rank(p.mount));
        return out;
    }
    [[nodiscard]] std::set<std::size_t> trashes() const {
        std::set<std::size_t> out;
        for (const auto& t : decide().trashes) out.insert(rank(t.mount));
        return out;
    }
    std::string order;
};

using ranks = std::set<std::size_t>;

}  // namespace

TEST_CASE("servers have the order in which Keep clients try them", "[keepctl][balance]") {
    for (std::size_t number = 0; number < std::size(block_orders); ++number) {
        // A copy everywhere, and none wanted more than once: what is kept is the first one.
        ranked w(number);
        for (std::size_t r = 0; r < 16; ++r) w.put(w.slot(r), static_cast<std::int64_t>(r + 1));
        const auto d = w.decide();
        REQUIRE(d.sources.size() == 16);
        std::string order;
        for (const auto s : d.sources) order += "0123456789abcdef"[s];
        CHECK(order == block_orders[number]);
    }
}

TEST_CASE("few servers and many have the order of their weights", "[keepctl][balance]") {
    for (std::size_t count = 1; count <= 16; ++count) {
        for (std::size_t number = 0; number < std::size(block_orders); ++number) {
            auto w = world::of_servers(count);
            w.block = known_block(number);
            w.desired = {0};
            for (std::uint16_t i = 0; i < count; ++i) w.put(i, 1 + i);
            std::string expected(block_orders[number]);
            std::erase_if(expected, [&](char c) { return std::string_view("0123456789abcdef").find(c) >= count; });
            std::string order;
            for (const auto s : w.decide().sources) order += "0123456789abcdef"[s];
            CHECK(order == expected);
        }
    }
}

TEST_CASE("copies move to the first places, and surplus ones are trashed", "[keepctl][balance]") {
    CHECK(ranked().at({0, 1}).pulls().empty());
    CHECK(ranked().at({0, 1}).trashes().empty());
    CHECK(ranked().at({0, 1, 2}).trashes() == ranks{2});
    CHECK(ranked().at({0, 2}).pulls() == ranks{1});
    CHECK(ranked().at({0, 2}).trashes().empty());
    CHECK(ranked().at({2, 7}).pulls() == ranks{0, 1});
    CHECK(ranked().at({2, 7}).trashes().empty());
    CHECK(ranked().at({2, 5, 7}).pulls() == ranks{0, 1});
    CHECK(ranked().at({2, 5, 7}).trashes() == ranks{7});
    CHECK(ranked(2).at({3, 4, 5, 6}).trashes() == ranks{5, 6});

    ranked more;
    more.desired = {4};
    CHECK(more.at({0, 1}).pulls() == ranks{2, 3});
    ranked none;
    none.desired = {0};
    CHECK(none.at({0, 1, 3}).trashes() == ranks{0, 1, 3});
    CHECK(none.pulls().empty());
}

TEST_CASE("nothing is trashed while a copy is missing", "[keepctl][balance]") {
    ranked w;
    w.desired = {3};
    w.at({5, 6});
    CHECK(w.trashes().empty());
    CHECK(w.pulls() == ranks{0, 1, 2});
    CHECK(w.decide().under);
}

TEST_CASE("new copies, and copies with the mtime of one that is kept, are not trashed", "[keepctl][balance]") {
    ranked w;
    w.at({0, 1, 2, 3});
    w.put(w.slot(2), w.cutoff);
    CHECK(w.trashes() == ranks{3});
    w.put(w.slot(2), w.cutoff - 1);
    CHECK(w.trashes() == ranks{2, 3});
    w.put(w.slot(3), w.copies[w.slot(1)].mtime);
    CHECK(w.trashes() == ranks{2});
    // Two with one mtime: one at a time, the first one in order.
    w.put(w.slot(2), 77);
    w.put(w.slot(3), 77);
    CHECK(w.trashes() == ranks{2});
}

TEST_CASE("mounts that cannot be written or trashed are taken as they are", "[keepctl][balance]") {
    ranked w;
    w.at({0, 2});
    w.all.mounts[w.slot(1)].allow_write = false;
    CHECK(w.pulls().empty());
    CHECK(w.trashes().empty());
    // A copy that cannot be trashed counts before better places.
    ranked fixed;
    fixed.at({5, 8});
    fixed.all.mounts[fixed.slot(8)].allow_trash = false;
    CHECK(fixed.pulls() == ranks{0});
    fixed.at({0});
    CHECK(fixed.pulls().empty());
    CHECK(fixed.trashes() == ranks{5});
}

TEST_CASE("one server is used twice only if there is no other one", "[keepctl][balance]") {
    ranked w;
    const auto first = w.slot(0);
    w.all.devices.push_back("zzzzz-nyw5e-00000000000000a");
    w.all.mounts.push_back({.server = first, .device = 16, .classes = 1, .allow_write = true, .allow_trash = true});
    w.put(first, 1);
    w.put(16, 2);
    CHECK(w.pulls() == ranks{1});
    CHECK(w.trashes().empty());
    w.at({1});
    CHECK(w.pulls().empty());
    CHECK(w.decide().trashes.size() == 1);
    w.desired = {17};
    CHECK(w.pulls() == ranks{2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15});
    CHECK(w.decide().pulls.size() == 14);
}

TEST_CASE("on one server a mount with a copy comes first, then the lower weight", "[keepctl][balance]") {
    ranked w;
    w.desired = {1};
    const auto first = w.slot(0);
    w.all.devices.push_back("zzzzz-nyw5e-00000000000000a");
    w.all.mounts.push_back({.server = first, .device = 16, .classes = 1, .allow_write = true, .allow_trash = true});
    const auto weight = [&](std::uint16_t device) {
        const auto text = w.block.hex() + w.all.devices[device];
        return digest::md5_of(std::as_bytes(std::span(text)));
    };
    const std::uint16_t lower = weight(first) < weight(16) ? first : 16;
    const std::uint16_t higher = lower == 16 ? first : 16;
    w.at({3});
    REQUIRE(w.decide().pulls.size() == 1);
    CHECK(w.all.mounts[w.decide().pulls[0].mount].device == lower);
    w.copies.clear();
    w.put(higher, 1);
    CHECK(w.decide().pulls.empty());
    w.put(lower, 2);
    REQUIRE(w.decide().trashes.size() == 1);
    CHECK(w.all.mounts[w.decide().trashes[0].mount].device == higher);
    // Its server is a source once.
    CHECK(w.decide().sources.size() == 1);
}

TEST_CASE("a device that two servers show is protected once", "[keepctl][balance]") {
    // The best places lack copies; the only ones are on a device of two servers, and on another one.
    ranked w;
    w.all.mounts[w.slot(3)].device = w.slot(4);
    w.put(w.slot(4), 1);
    w.at({6});
    CHECK(w.pulls() == ranks{0, 1});
    CHECK(w.trashes().empty());
    w.at({7});
    CHECK(w.trashes() == ranks{7});
}

TEST_CASE("a device on two servers counts once", "[keepctl][balance]") {
    // keep-balance counts it for each server, and would trash the only other copy.
    auto w = world::of_servers(3);
    w.block = known_block(0);
    w.desired = {2};
    w.all.mounts[1].device = 0;
    w.put(0, 1);
    w.put(2, 2);
    auto d = w.decide();
    CHECK(d.trashes.empty());
    CHECK(d.pulls.empty());
    CHECK_FALSE(d.under);
    w.copies.erase(2);
    d = w.decide();
    CHECK(d.under);
    REQUIRE(d.pulls.size() == 1);
    CHECK(w.all.mounts[d.pulls[0].mount].device == 2);
    CHECK(d.pulls[0].why == pull_reason::last_copy);
}

TEST_CASE("a class is kept on mounts that offer it, even on one server", "[keepctl][balance]") {
    // keep-balance prefers another server that does not offer the class, and trashes the second copy of the class.
    auto w = world::of_servers(2);
    w.all.classes = {"archival", "default"};
    w.all.devices.push_back("zzzzz-nyw5e-00000000000000a");
    w.all.mounts[0].classes = 1;
    w.all.mounts[1].classes = 2;
    w.all.mounts.push_back({.server = 0, .device = 2, .classes = 1, .allow_write = true, .allow_trash = true});
    w.block = known_block(1);
    w.desired = {2, 0};
    w.put(0, 1);
    w.put(1, 2);
    w.put(2, 3);
    auto d = w.decide();
    REQUIRE(d.trashes.size() == 1);
    CHECK(w.all.mounts[d.trashes[0].mount].device == 1);
    w.copies.erase(2);
    d = w.decide();
    CHECK(d.trashes.empty());
    REQUIRE(d.pulls.size() == 1);
    CHECK(w.all.mounts[d.pulls[0].mount].device == 2);
    CHECK(d.pulls[0].why == pull_reason::storage_class);
}

TEST_CASE("a class without enough mounts is kept elsewhere", "[keepctl][balance]") {
    ranked w;
    w.all.classes = {"default", "special"};
    w.desired = {0, 2};
    w.at({3, 7});
    auto d = w.decide();
    CHECK(d.under);
    CHECK(d.trashes.empty());
    CHECK(d.classes[1].unachievable);
    CHECK(w.pulls() == ranks{0, 1});
}

TEST_CASE("replication of a mount counts", "[keepctl][balance]") {
    ranked w;
    for (auto& m : w.all.mounts) m.replication = 2;
    w.at({0, 1, 2});
    CHECK(w.trashes() == ranks{1, 2});
    CHECK(w.pulls().empty());
    w.copies.clear();
    w.at({0});
    CHECK_FALSE(w.decide().under);
    w.desired = {3};
    CHECK(w.decide().under);
}

TEST_CASE("a block without copies is lost if it is wanted", "[keepctl][balance]") {
    ranked w;
    CHECK(w.decide().lost);
    CHECK(w.decide().pulls.empty());
    w.desired = {0};
    CHECK_FALSE(w.decide().lost);
}

TEST_CASE("copies of another size are no copies, and are pulled over", "[keepctl][balance]") {
    ranked w;
    w.at({0, 1, 2});
    w.put(w.slot(4), 5, true);
    auto d = w.decide();
    CHECK(d.conflict);
    CHECK(d.trashes.empty());
    REQUIRE(d.pulls.size() == 1);
    CHECK(w.rank(d.pulls[0].mount) == 4);
    CHECK(d.pulls[0].why == pull_reason::size_conflict);
    CHECK(std::ranges::find(d.sources, w.all.mounts[w.slot(4)].server) == d.sources.end());
    w.all.mounts[w.slot(4)].allow_write = false;
    CHECK(w.pulls().empty());
    // Where it is wanted it is pulled as such.
    ranked here;
    here.at({1});
    here.put(here.slot(0), 5, true);
    d = here.decide();
    REQUIRE(d.pulls.size() == 1);
    CHECK(d.pulls[0].why == pull_reason::last_copy);
    // Nothing can be pulled from it.
    ranked bad;
    bad.put(bad.slot(0), 5, true);
    d = bad.decide();
    CHECK(d.lost);
    CHECK(d.pulls.empty());
    CHECK(d.trashes.empty());
}

TEST_CASE("blocks are counted by state", "[keepctl][balance]") {
    ranked w;
    w.at({0, 5, 7});
    const auto d = w.decide();
    CHECK(d.total.needed == 2);
    CHECK(d.total.unneeded == 1);
    CHECK(d.total.pulling == 1);
    CHECK_FALSE(d.total.unachievable);
    CHECK(d.misplaced);
    ranked fresh;
    fresh.at({0});
    fresh.put(fresh.slot(0), fresh.cutoff);
    CHECK(fresh.decide().has_new);
}

}  // namespace keepstore::keepctl::balance::test
