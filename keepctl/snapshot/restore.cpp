#include "keepctl/snapshot/restore.hpp"

#include "keepctl/cluster/all_at_once.hpp"
#include "keepctl/cluster/block_names.hpp"
#include "keepctl/cluster/shards.hpp"
#include "keepctl/snapshot/copies.hpp"

#include <fmt/format.h>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <utility>

namespace keepstore::keepctl {

/// What the trash and the sources had of a block that is not restored. The first error of a kind counts.
struct restoration::findings {
    std::optional<error> failed = {};
    std::optional<error> bad = {};
    bool may_pass = false;  ///< Another attempt may succeed.
    bool cancelled = false;

    void add(error why) {
        if (why == errc::cancelled)
            cancelled = true;
        else if (auto& kind = why == errc::checksum_mismatch ? bad : failed; !kind && why != errc::not_found)
            kind = std::move(why);
    }
};

namespace {

bool may_pass(const error& why) {
    return why == errc::unavailable || why == errc::timeout;
}

}  // namespace

restoration::restoration(repository& in, const snapshot_document& of, block_place& target,
                         std::vector<block_place*> sources, restore_options options, restore_observer& observer)
    : repository_(in),
      document_(of),
      target_(target),
      options_(std::move(options)),
      observer_(observer),
      verifier_(options_.memory_bytes / (sources.size() + 1)) {
    listings_.push_back({.place = &target});
    for (auto* const source : sources) {
        if (options_.dry_run)
            listings_.push_back({.place = source});
        else
            transfers_.push_back(std::make_unique<transfer>(
                *source, target,
                transfer::options{.memory_bytes = options_.memory_bytes / (sources.size() + 1),
                                  .digest_threads = options_.digest_threads,
                                  .bandwidth = options_.bandwidth,
                                  .give_up_after = options_.give_up_after},
                observer));
    }
}

void restoration::stop() {
    stopping_ = true;
    for (const auto& from : transfers_) from->stop();
}

void restoration::give_up(error why) {
    if (!fatal_) fatal_ = std::move(why);
    stop();
}

// The place may have far more blocks by now than the snapshot.
awaitable<outcome<unsigned>> restoration::choose_digits() {
    const auto estimated = co_await estimate_digits(listings_);
    if (!estimated && estimated.error() == errc::cancelled) co_return refuse(exit_code::interrupted, "interrupted");
    if (!estimated) co_return refuse(not_listed(estimated.error(), true), estimated.error().text);
    co_return std::max(document_.digits, *estimated);
}

awaitable<outcome<void>> restoration::run(const shard_set& done) {
    while (shard_count(digits_) < done.capacity()) ++digits_;
    std::vector<std::size_t> todo;
    for (std::size_t shard = 0; shard < done.capacity(); ++shard) {
        if (options_.only && !has_prefix(*options_.only, shard_prefix(digits_, shard))) continue;
        ++shards_total_;
        if (done.contains(shard))
            ++shards_done_;
        else
            todo.push_back(shard);
    }
    auto end = co_await restore_shards(std::move(todo));
    if (end && !stopping_) end = co_await second_round();
    counts_.left += std::exchange(again_, {}).size();
    co_return end;
}

awaitable<outcome<void>> restoration::restore_shards(std::vector<std::size_t> todo) {
    inventory_cursor cursor(repository_, document_);
    for (const bool last_try : {false, true}) {
        std::vector<std::size_t> incomplete;
        for (const auto shard : todo) {
            if (stopping_) co_return outcome<void>();
            const auto before = not_restored();
            const auto waiting = again_.size();
            KS_CO_TRY(const auto listed, co_await restore_shard(cursor, shard, last_try));
            if (!listed) {
                incomplete.push_back(shard);
                continue;
            }
            ++shards_done_;
            if (not_restored() != before || stopping_) continue;
            if (again_.size() == waiting)
                observer_.shard_done(shard);
            else
                unfinished_.insert(shard);
        }
        todo = std::move(incomplete);
        incomplete_ = todo.size();
    }
    co_return outcome<void>();
}

// Blocks that failed get another chance when all others have had theirs.
awaitable<outcome<void>> restoration::second_round() {
    if (again_.empty()) co_return outcome<void>();
    asio::steady_timer timer(co_await asio::this_coro::executor);
    timer.expires_after(options_.second_round_pause);
    if (const auto [failed] = co_await expiry(timer); failed) co_return refuse(exit_code::interrupted, "interrupted");
    if (stopping_) co_return outcome<void>();
    second_round_ = true;
    const auto blocks = std::exchange(again_, {});
    if (!co_await restore_all(blocks)) co_return refuse(exit_code::interrupted, "interrupted");
    if (stopping_) co_return outcome<void>();
    for (const auto shard : unfinished_) observer_.shard_done(shard);
    co_return outcome<void>();
}

// \returns false when cancelled.
awaitable<bool> restoration::restore_all(std::span<const missing_block> blocks) {
    auto left = blocks;
    const auto workers = std::min<std::size_t>(options_.jobs, blocks.size());
    const bool cancelled = co_await run_workers(workers, [&] { return work(left); });
    counts_.left += left.size();
    co_return !cancelled;
}

// \returns whether it could be listed.
awaitable<outcome<bool>> restoration::restore_shard(inventory_cursor& cursor, std::size_t shard, bool last_try) {
    const auto prefix = shard_prefix(digits_, shard);
    KS_CO_TRY(const auto then, co_await cursor.entries(prefix));
    if (auto listed = co_await list_places(listings_, prefix); !listed) {
        if (listed.error() == errc::cancelled) co_return refuse(exit_code::interrupted, "interrupted");
        if (is_final(listed.error()))
            give_up(std::move(listed.error()));
        else if (last_try)
            observer_.warn(fmt::format("blocks {}... could not be listed: {}", prefix, listed.error().text));
        co_return false;
    }
    const auto missing = missing_in(then, listings_.front().entries, shard);
    if (options_.dry_run) {
        plan(missing);
        co_return true;
    }
    if (!co_await restore_all(missing)) co_return refuse(exit_code::interrupted, "interrupted");
    co_return true;
}

std::vector<restoration::missing_block> restoration::missing_in(std::span<const entry> then, std::span<const entry> now,
                                                                std::size_t shard) {
    std::vector<missing_block> out;
    while (!then.empty()) {
        const auto copies = take_block(then);
        const auto& name = copies.front().block;
        if (options_.only && !std::ranges::binary_search(*options_.only, name)) continue;
        ++counts_.looked_at;
        if (take_block(now, name).empty())
            out.push_back({.block = {name, copies.front().size}, .shard = shard});
        else
            ++counts_.present;
    }
    return out;
}

// Shows where each block would come from.
void restoration::plan(std::span<const missing_block> missing) {
    std::vector<std::span<const entry>> rest;
    for (const auto& source : std::span(listings_).subspan(1)) rest.emplace_back(source.entries);
    for (const auto& one : missing) {
        const auto& block = one.block;
        std::string_view from;
        for (std::size_t i = 0; i < rest.size(); ++i) {
            if (!take_block(rest[i], block.name).empty() && from.empty()) from = listings_[i + 1].place->name();
        }
        ++(from.empty() ? counts_.not_found : counts_.copied);
        if (!from.empty()) counts_.bytes += block.size;
        observer_.planned(block, from);
    }
}

// Workers take the blocks in order; all of them run on one thread.
awaitable<void> restoration::work(std::span<const missing_block>& left) {
    while (!left.empty() && !stopping_) {
        const auto block = left.front();
        left = left.subspan(1);
        ++busy_;
        co_await restore_one(block);
        --busy_;
    }
}

awaitable<void> restoration::restore_one(missing_block missing) {
    const auto block = missing.block;
    findings found;
    bool restored = co_await bring_back(missing, found);
    if (restored) ++counts_.untrashed;
    for (const auto& source : transfers_) {
        if (restored || stopping_ || found.cancelled) break;
        restored = co_await copy_from(*source, block, found);
        if (restored) ++counts_.copied;
    }
    if (restored) {
        counts_.bytes += block.size;
        co_return;
    }
    if (!second_round_ && !stopping_ && found.may_pass && again_.size() < limits::failures_kept_max) {
        again_.push_back(missing);
        co_return;
    }
    unfinished_.erase(missing.shard);
    const auto report = [&](std::uint64_t& count, std::string outcome, std::string reason) {
        ++count;
        observer_.failed(
            {.block = block.name, .size = block.size, .outcome = std::move(outcome), .reason = std::move(reason)});
    };
    if (found.cancelled || (stopping_ && !fatal_))
        ++counts_.left;
    else if (found.failed)
        report(counts_.failed, "failed", std::move(found.failed->text));
    else if (found.bad)
        report(counts_.bad_source, "bad_source", std::move(found.bad->text));
    else if (stopping_)
        ++counts_.left;
    else
        report(counts_.not_found, "not_found", "neither in the trash nor at a source");
}

// \returns whether a good copy came out of the trash. Nothing says that what went in was one.
awaitable<bool> restoration::bring_back(missing_block& missing, findings& found) {
    const auto& block = missing.block;
    if (missing.trash != trash_state::emptied) {
        auto back = co_await target_.untrash(block.name, deadline::in(limits::keepctl_block_timeout));
        if (!back) {
            // Of a full storage the copy will tell.
            if (is_final(back.error()) && back.error() != errc::no_space) give_up(back.error());
            missing.trash = trash_state::unknown;
            found.may_pass = may_pass(back.error());
            found.add(std::move(back.error()));
            co_return false;
        }
        // After a failure it may have come out although the response was lost.
        if (!*back && missing.trash == trash_state::untried) co_return false;
        missing.trash = trash_state::emptied;
    }
    auto good = co_await verifier_.verify(target_, block);
    if (!good) {
        found.may_pass = found.may_pass || may_pass(good.error());
        found.add(std::move(good.error()));
    }
    co_return good.has_value();
}

awaitable<bool> restoration::copy_from(transfer& source, block_id block, findings& found) {
    wanted_block wanted{.block = block, .plan = target_.plan(block.name, {})};
    auto end = co_await source.copy(wanted, false);
    if (end.ends_run) give_up(end.why);
    switch (end.end) {
        case copy_end::copied:
        case copy_end::present:
            co_return true;
        case copy_end::gone:
            break;
        case copy_end::bad_source:
        case copy_end::failed:
        case copy_end::deferred:
            found.may_pass = found.may_pass || end.may_pass;
            found.add(std::move(end.why));
            break;
        case copy_end::cancelled:
            found.cancelled = true;
            break;
    }
    co_return false;
}

}  // namespace keepstore::keepctl
