#include "keepctl/balance/shard_pipeline.hpp"

#include "digest/md5.hpp"
#include "tests/keepctl/balance_world.hpp"

#include <fmt/format.h>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>

#include <algorithm>
#include <memory>
#include <random>
#include <string>

namespace keepstore::keepctl::balance::test {
namespace {

/// Copies on devices by shard, and what refers to them.
struct input {
    cluster all;
    std::vector<std::vector<std::vector<entry>>> shards;
    plan_options options;
    std::unique_ptr<reference_spool> spool;

    static constexpr unsigned shard_count = 16;

    input() : all(world::of_servers(5).all), shards(shard_count) {
        std::mt19937 random(5);
        spool = std::make_unique<reference_spool>("/nonexistent", 1 << 30);
        for (auto& shard : shards) shard.resize(all.devices.size());
        for (unsigned b = 0; b < 4000; ++b) {
            const auto text = std::to_string(b);
            const auto name = digest::md5_of(std::as_bytes(std::span(text)));
            for (std::uint16_t d = 0; d < 5; ++d) {
                if (random() % 2 == 0) continue;
                const auto mtime = static_cast<std::int64_t>(1 + random() % 1500);
                shards[name.bytes[0] >> 4][d].push_back({.block = name, .size = 3, .mount = d, .mtime = mtime});
            }
            const reference named{.block = name, .size = 3};
            if (random() % 3 != 0) CHECK(spool->add(std::span(&named, 1)));
        }
        options = {
            .desired = {2}, .by_references = true, .cutoff = 1000, .now = 1400, .pulls_max = 40, .trashes_max = 90};
    }
};

struct outcome {
    std::string text;
    std::vector<block_id> lost;
    std::size_t joined = 0;
    bool whole = false;
};

awaitable<void> plan_all(const input& from, shard_pipeline& pipeline, bool& whole) {
    for (unsigned i = 0; i < input::shard_count; ++i) {
        auto* const place = co_await pipeline.next();
        if (!place) co_return;
        // A place in which nothing was listed is as good as another one.
        if (i % 3 == 1) {
            pipeline.give_back(place);
            auto* const another = co_await pipeline.next();
            if (!another) co_return;
            *another = from.shards[i];
            pipeline.begin(another, fmt::format("{:x}", i));
            continue;
        }
        *place = from.shards[i];
        pipeline.begin(place, fmt::format("{:x}", i));
    }
    whole = co_await pipeline.finish();
}

std::string text_of(planner& plan) {
    std::string out;
    for (auto& s : plan.servers()) {
        out += fmt::format("server {} {}\n", s.pulls.deferred(), s.trashes.deferred());
        for (const auto& p : s.pulls.take())
            out += fmt::format("pull {} {} {} {}\n", p.block.text(), p.mount, static_cast<int>(p.why), p.sources[0]);
        for (const auto& t : s.trashes.take())
            out += fmt::format("trash {} {} {} {}\n", t.block.text(), t.mount, t.mtime, t.proven_by);
    }
    for (const auto& d : plan.devices())
        out += fmt::format("device {} {} {} {}\n", d.copies, d.bytes, d.trash_copies, d.trash_bytes);
    const auto& t = plan.counts();
    for (const auto& a :
         {t.lost, t.underreplicated, t.balanced, t.overreplicated, t.unreferenced, t.garbage, t.unachievable, t.desired,
          t.total, t.classes[0].needed, t.classes[0].unneeded, t.classes[0].pulling, t.classes[0].unachievable})
        out += fmt::format("amount {} {} {}\n", a.blocks, a.replicas, a.bytes);
    for (const auto n : t.by_copies) out += fmt::format("{} ", n);
    out += fmt::format("\n{} {} {} {}\n", t.misplaced, t.size_conflicts, t.future_mtimes, plan.referenced_blocks());
    return out;
}

outcome plan_with(const input& from, unsigned threads) {
    outcome out;
    asio::io_context loop;  // Before the pipeline, whose threads may still be posting to it when all is done.
    planner plan(from.all, from.options, [&](block_id b) { out.lost.push_back(b); });
    shard_pipeline pipeline(from.all, plan, from.spool.get(), threads, [&](result<void> read) {
        CHECK(read);
        ++out.joined;
    });
    spawn(loop.get_executor(), plan_all(from, pipeline, out.whole), [](std::exception_ptr e) { CHECK_FALSE(e); });
    loop.run();
    out.text = text_of(plan);
    return out;
}

}  // namespace

TEST_CASE("a plan does not depend on the number of threads", "[keepctl][balance]") {
    const input from;
    const auto one = plan_with(from, 1);
    CHECK(one.whole);
    CHECK(one.joined == input::shard_count);
    CHECK(one.text.contains("pull"));
    CHECK(one.text.contains("trash"));
    CHECK(one.lost.size() > 20);
    for (const unsigned threads : {2U, 3U, 8U}) {
        const auto several = plan_with(from, threads);
        CHECK(several.text == one.text);
        CHECK(std::ranges::equal(several.lost, one.lost, {}, &block_id::name, &block_id::name));
    }
    // Nor on whether shards are planned by themselves.
    planner whole(from.all, from.options);
    std::vector<entry> all;
    for (const auto& shard : from.shards) {
        for (const auto& device : shard) all.insert(all.end(), device.begin(), device.end());
    }
    sort_entries(all);
    add_shard(whole, from.all, all, *from.spool->load(""));
    CHECK(text_of(whole) == one.text);
}

TEST_CASE("a plan that is cancelled waits for its threads, and joins no shard out of turn", "[keepctl][balance]") {
    const input from;
    std::vector<block_id> lost;
    planner plan(from.all, from.options, [&](block_id b) { lost.push_back(b); });
    std::size_t joined = 0;
    {
        asio::io_context loop;
        bool whole = false;
        asio::cancellation_signal stop;
        shard_pipeline pipeline(from.all, plan, from.spool.get(), 2, [&](result<void>) {
            if (++joined == 3) stop.emit(asio::cancellation_type::terminal);
        });
        spawn(loop.get_executor(), plan_all(from, pipeline, whole), stop.slot(), [](std::exception_ptr) {});
        loop.run();
        CHECK_FALSE(whole);
    }
    CHECK(joined >= 3);
    CHECK(joined < input::shard_count);
    CHECK(std::ranges::is_sorted(lost, {}, &block_id::name));
}

}  // namespace keepstore::keepctl::balance::test
