/// Random clusters against a model that knows only goals, not the rules by which they are reached.
#include "tests/keepctl/balance_world.hpp"

#include "digest/md5.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <random>

namespace keepstore::keepctl::balance::test {
namespace {

using randomness = std::mt19937_64;

std::size_t below(randomness& random, std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random);
}
bool one_in(randomness& random, std::size_t n) {
    return below(random, n) == 0;
}

std::uint64_t seed_of_run() {
    const char* const given = std::getenv("KEEPSTORE_TEST_SEED");
    return given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

world random_world(randomness& random) {
    world w;
    w.all.classes = {"a", "b", "c"};
    w.all.classes.resize(1 + below(random, 3));
    const auto servers = 1 + below(random, 5);
    const auto mounts = 1 + below(random, 8);
    for (std::size_t i = 0; i < servers; ++i)
        w.all.servers.push_back({fmt::format("http://keep{}", i), fmt::format("zzzzz-bi6l4-{:015x}", random() >> 8)});
    struct device_facts {
        class_bits classes;
        std::int64_t replication;
    };
    std::vector<device_facts> facts;
    for (std::size_t i = 0; i < mounts; ++i) {
        auto device = w.all.devices.size();
        if (device > 0 && one_in(random, 4)) {
            device = below(random, device);
        } else {
            w.all.devices.push_back(fmt::format("zzzzz-nyw5e-{:015x}", random() >> 8));
            facts.push_back({below(random, std::size_t{1} << w.all.classes.size()), one_in(random, 5) ? 2 : 1});
        }
        mount m{.server = static_cast<std::uint16_t>(below(random, servers)),
                .device = static_cast<std::uint16_t>(device),
                .replication = facts[device].replication,
                .classes = facts[device].classes,
                .allow_write = !one_in(random, 4),
                .allow_trash = !one_in(random, 5)};
        // A server mounts a volume once.
        if (std::ranges::none_of(w.all.mounts,
                                 [&](const mount& o) { return o.server == m.server && o.device == m.device; }))
            w.all.mounts.push_back(m);
    }
    const auto text = fmt::format("{}", random());
    w.block = digest::md5_of(std::as_bytes(std::span(text)));
    const bool equal_times = one_in(random, 3);
    for (std::uint16_t d = 0; d < w.all.devices.size(); ++d) {
        if (one_in(random, 2)) continue;
        std::int64_t mtime = 1 + d + static_cast<std::int64_t>(equal_times ? below(random, 3) : 10 * below(random, 9));
        if (one_in(random, 6)) mtime = w.cutoff + static_cast<std::int64_t>(below(random, 3)) + 10 * d;
        if (equal_times) mtime = 1 + static_cast<std::int64_t>(below(random, 3));
        w.put(d, mtime);
    }
    for (std::size_t c = 0; c < w.all.classes.size(); ++c)
        w.desired.push_back(static_cast<std::uint32_t>(below(random, 4)));
    return w;
}

/// \returns what is below min(desired, what there was); nothing if all is well.
std::string below_goal(const world& before, const world& after) {
    std::int64_t most = 0;
    for (std::size_t c = 0; c < before.desired.size(); ++c) {
        const class_bits wanted = class_bits{1} << c;
        const std::int64_t desired = before.desired[c];
        most = std::max(most, desired);
        if (after.held(wanted) < std::min(desired, before.held(wanted)))
            return fmt::format("class {}: {} of {}", c, after.held(wanted), desired);
    }
    if (after.held() < std::min(most, before.held())) return fmt::format("all: {} of {}", after.held(), most);
    return {};
}

void carry_out(world& w, const decision& d, randomness& random, bool all, std::int64_t now) {
    std::vector<std::size_t> order(d.pulls.size() + d.trashes.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::shuffle(order, random);
    for (const auto i : order) {
        if (!all && one_in(random, 2)) continue;
        if (i < d.trashes.size())
            w.trash(d.trashes[i]);
        else if (w.held() > 0)
            w.pull(d.pulls[i - d.trashes.size()], now + static_cast<std::int64_t>(i));
    }
}

std::string text_of(const world& w, const decision& d) {
    std::string out;
    for (const auto& m : w.all.mounts)
        out += fmt::format("mount: server {} device {} replication {} classes {} {}{}\n", m.server, m.device,
                           m.replication, m.classes, m.allow_write ? "w" : "-", m.allow_trash ? "t" : "-");
    for (const auto& [device, c] : w.copies) out += fmt::format("copy: device {} mtime {}\n", device, c.mtime);
    for (const auto n : w.desired) out += fmt::format("desired: {}\n", n);
    for (const auto& p : d.pulls) out += fmt::format("pull: mount {}\n", p.mount);
    for (const auto& t : d.trashes) out += fmt::format("trash: mount {} mtime {}\n", t.mount, t.mtime);
    return out;
}

void check_one_block(const world& w, randomness& random) {
    const auto d = w.decide();
    INFO(text_of(w, d));
    const bool distinct_times = [&] {
        std::set<std::int64_t> times;
        for (const auto& [device, c] : w.copies) times.insert(c.mtime);
        return times.size() == w.copies.size();
    }();

    // What is under-replicated is not trashed; nor is what is new, or one of two that may be the same.
    std::set<std::int64_t> trashed;
    for (const auto& t : d.trashes) {
        const auto& m = w.all.mounts[t.mount];
        REQUIRE(m.allow_trash);
        REQUIRE(w.copies.contains(m.device));
        REQUIRE(w.copies.at(m.device).mtime == t.mtime);
        REQUIRE(t.mtime < w.cutoff);
        REQUIRE(trashed.insert(t.mtime).second);
    }
    for (std::size_t c = 0; c < w.desired.size(); ++c) {
        if (w.held(class_bits{1} << c) < w.desired[c]) REQUIRE(d.trashes.empty());
    }
    std::set<std::uint16_t> pulled;
    for (const auto& p : d.pulls) {
        const auto& m = w.all.mounts[p.mount];
        REQUIRE(m.allow_write);
        REQUIRE_FALSE(w.copies.contains(m.device));
        REQUIRE(pulled.insert(m.device).second);
        REQUIRE_FALSE(d.sources.empty());
    }

    // Any part of the changes, pulls failing or not; and copies with one mtime may be one copy seen twice.
    for (std::size_t subset = 0; subset < std::size_t{1} << d.trashes.size(); ++subset) {
        world after = w;
        world aliased = w;
        for (std::size_t i = 0; i < d.trashes.size(); ++i) {
            if ((subset >> i & 1) == 0) continue;
            after.trash(d.trashes[i]);
            std::erase_if(aliased.copies, [&](const auto& each) { return each.second.mtime == d.trashes[i].mtime; });
        }
        REQUIRE(below_goal(w, after) == "");
        REQUIRE(below_goal(w, aliased) == "");
    }

    world after = w;
    const auto now = w.cutoff + 1000;
    carry_out(after, d, random, true, now);
    for (std::size_t c = 0; c < w.desired.size(); ++c) {
        const class_bits wanted = class_bits{1} << c;
        REQUIRE(after.held(wanted) >= std::min<std::int64_t>(w.desired[c], w.achievable(wanted)));
    }

    // Two plans, the first one half carried out.
    world later = w;
    carry_out(later, d, random, false, now);
    later.cutoff = one_in(random, 2) ? w.cutoff : now + 1000;
    carry_out(later, later.decide(), random, false, later.cutoff + 1000);
    REQUIRE(below_goal(w, later) == "");

    // Then there is nothing left to do.
    world settled = w;
    std::size_t rounds = 0;
    for (; rounds < 20; ++rounds) {
        settled.cutoff = now + static_cast<std::int64_t>(rounds) * 10'000;
        const auto next = settled.decide();
        if (next.pulls.empty() && next.trashes.empty()) break;
        carry_out(settled, next, random, true, settled.cutoff + 1000);
    }
    REQUIRE(rounds <= (distinct_times ? 3 : 3 + w.copies.size()));
}

/// Servers, mounts and devices under other numbers.
void check_permuted(const world& w, randomness& random) {
    const auto shuffled = [&](std::size_t count) {
        std::vector<std::uint16_t> out(count);
        std::iota(out.begin(), out.end(), std::uint16_t{0});
        std::ranges::shuffle(out, random);
        return out;
    };
    const auto servers = shuffled(w.all.servers.size());  // Old number to new.
    const auto devices = shuffled(w.all.devices.size());
    const auto mounts = shuffled(w.all.mounts.size());
    world other = w;
    for (std::size_t i = 0; i < servers.size(); ++i) other.all.servers[servers[i]] = w.all.servers[i];
    for (std::size_t i = 0; i < devices.size(); ++i) other.all.devices[devices[i]] = w.all.devices[i];
    for (std::size_t i = 0; i < mounts.size(); ++i) {
        auto m = w.all.mounts[i];
        m.server = servers[m.server];
        m.device = devices[m.device];
        other.all.mounts[mounts[i]] = m;
    }
    other.copies.clear();
    for (const auto& [device, c] : w.copies) other.put(devices[device], c.mtime);
    const auto names = [](const world& in) {
        const auto d = in.decide();
        std::set<std::string> out;
        const auto name = [&](std::uint16_t m) {
            return in.all.servers[in.all.mounts[m].server].url + in.all.devices[in.all.mounts[m].device];
        };
        for (const auto& p : d.pulls) out.insert(fmt::format("pull {} {}", name(p.mount), static_cast<int>(p.why)));
        for (const auto& t : d.trashes) out.insert(fmt::format("trash {} {}", name(t.mount), t.mtime));
        for (std::size_t i = 0; i < d.sources.size(); ++i)
            out.insert(fmt::format("source {} {}", i, in.all.servers[d.sources[i]].url));
        out.insert(fmt::format("{} {} {}", d.total.needed, d.total.unneeded, d.total.pulling));
        return out;
    };
    INFO(text_of(w, w.decide()));
    REQUIRE(names(w) == names(other));
}

/// A cluster and a block of the kind that decide_small.cpp is for, mostly.
world small_world(randomness& random) {
    auto w = random_world(random);
    std::set<std::uint16_t> seen;
    std::erase_if(w.all.mounts, [&](const mount& m) { return !seen.insert(m.device).second; });
    for (auto& m : w.all.mounts) {
        m.replication = 1;
        m.allow_trash = !one_in(random, 20);
        if (!one_in(random, 3)) m.classes = (class_bits{1} << w.all.classes.size()) - 1;
    }
    for (auto& n : w.desired) {
        if (!one_in(random, 2)) n = 0;
    }
    if (one_in(random, 20) && !w.copies.empty()) w.copies.begin()->second.conflict = true;
    return w;
}

std::string changes_of(const decision& d) {
    std::string out;
    for (const auto& p : d.pulls) out += fmt::format("pull {} {}\n", p.mount, static_cast<int>(p.why));
    for (const auto& t : d.trashes) out += fmt::format("trash {} {}\n", t.mount, t.mtime);
    for (const auto s : d.sources) {
        if (!out.empty()) out += fmt::format("from {}\n", s);  // Else they may be left out.
    }
    out += fmt::format("{} {} {} {} {} {}\n", d.proven_by, d.lost, d.under, d.conflict, d.misplaced, d.has_new);
    const auto add = [&](const device_counts& n) {
        out += fmt::format("counts {} {} {} {}\n", n.needed, n.unneeded, n.pulling, n.unachievable);
    };
    add(d.total);
    for (const auto& n : d.classes) add(n);
    return out;
}

}  // namespace

TEST_CASE("whatever part of a plan is carried out, no block falls below its goal", "[keepctl][balance]") {
    const auto seed = seed_of_run();
    INFO("KEEPSTORE_TEST_SEED=" << seed);
    randomness random(seed);
    for (int i = 0; i < 20'000; ++i) check_one_block(random_world(random), random);
}

TEST_CASE("mounts that can hold nothing change no decision, also when there are too many for the usual way",
          "[keepctl][balance]") {
    const auto seed = seed_of_run();
    INFO("KEEPSTORE_TEST_SEED=" << seed);
    randomness random(seed);
    for (int i = 0; i < 20'000; ++i) {
        const auto w = small_world(random);
        auto more = w;
        more.all.servers.push_back({"http://more", fmt::format("zzzzz-bi6l4-{:015x}", random() >> 8)});
        for (int n = 0; n < 64; ++n) {
            const auto device = static_cast<std::uint16_t>(more.all.devices.size());
            more.all.devices.push_back(fmt::format("zzzzz-nyw5e-{:015x}", random() >> 8));
            more.all.mounts.push_back(
                {.server = static_cast<std::uint16_t>(w.all.servers.size()), .device = device, .allow_trash = true});
        }
        const auto few = changes_of(w.decide());
        if (const auto many = changes_of(more.decide()); few != many) {
            INFO(text_of(w, w.decide()));
            REQUIRE(few == many);
        }
    }
}

TEST_CASE("a decision does not depend on the order of servers, mounts and copies", "[keepctl][balance]") {
    const auto seed = seed_of_run();
    INFO("KEEPSTORE_TEST_SEED=" << seed);
    randomness random(seed);
    for (int i = 0; i < 3000; ++i) check_permuted(random_world(random), random);
}

}  // namespace keepstore::keepctl::balance::test
