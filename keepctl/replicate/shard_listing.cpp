// The listings of a replication: one shard after the other, past places that are away for a time; and the check of
// --verify, which is listings only.

#include "base/when_all.hpp"
#include "keepctl/replicate/replication.hpp"

#include <fmt/format.h>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <utility>

namespace keepstore::keepctl {

awaitable<void> replication::pass_over(std::vector<shard_pass> todo, bool last_try) {
    for (std::size_t i = 0; i < todo.size(); ++i) {
        if (i == 0) co_await list(todo.front().work->shard, listings_[0]);
        std::vector<awaitable<void>> members;
        members.push_back(plan_shard(todo[i], listings_[i % 2], last_try));
        if (i + 1 < todo.size() && !stopping_) members.push_back(list(todo[i + 1].work->shard, listings_[(i + 1) % 2]));
        if (co_await when_all(std::move(members)) || stopping_) co_return;
    }
}

awaitable<void> replication::list(std::size_t shard, listed_shard& into) {
    into.prefix = narrowed(shard_prefix(digits_, shard), options_.prefix).value();
    while (true) {
        into.end = co_await list_places(into.places, into.prefix);
        if (into.end) {
            listings_failed_ = 0;
            co_return;
        }
        if (into.end.error() == errc::cancelled || is_final(into.end.error()) || stopping_) co_return;
        // A place that is away fails all shards: it is waited for. One that responds has failed this one.
        auto came_back = co_await wait_for_places(into);
        if (!came_back) into.end = std::unexpected(std::move(came_back.error()));
        if (!came_back || !*came_back) break;
    }
    if (++listings_failed_ >= limits::place_failures_max && !stopping_) give_up(into.end.error());
}

// \returns whether a place did not respond, and does again.
awaitable<result<bool>> replication::wait_for_places(listed_shard& failed) {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    bool was_away = false;
    for (auto& listing : failed.places) {
        if (listing.end) continue;
        const auto since = std::chrono::steady_clock::now();
        for (bool first = true;; first = false) {
            auto responds = co_await listing.place->check(deadline::in(limits::keepctl_request_timeout));
            if (responds) {
                if (!first) observer_.warn(listing.place->name() + " works again");
                break;
            }
            if (responds.error() == errc::cancelled || is_final(responds.error()))
                co_return std::unexpected(std::move(responds.error()));
            if (first) {
                was_away = true;
                observer_.warn(
                    fmt::format("{} is paused until it works again: {}", listing.place->name(), responds.error().text));
            }
            if (std::chrono::steady_clock::now() - since >= options_.give_up_after) {
                give_up(responds.error());
                co_return std::unexpected(std::move(responds.error()));
            }
            waiting_for_place_ = true;
            timer.expires_after(std::min<std::chrono::nanoseconds>(limits::place_pause, options_.give_up_after));
            const auto [cancelled] = co_await expiry(timer);
            waiting_for_place_ = false;
            if (cancelled || stopping_) co_return fail(errc::cancelled);
        }
    }
    co_return was_away;
}

awaitable<void> replication::verify_all() {
    std::ranges::sort(reported_);
    auto& listed = listings_[0];
    for (std::size_t shard = 0; shard < shards_total_ && !stopping_; ++shard) {
        if (!shard_wanted(shard_prefix(digits_, shard))) continue;
        co_await list(shard, listed);
        if (listed.end) {
            verify_shard(listed);
            continue;
        }
        incomplete_.push_back({.work = std::make_shared<shard_work>(shard_work{.shard = shard})});
        if (listed.end.error() != errc::cancelled && !stopping_)
            observer_.warn(
                fmt::format("--verify: blocks {}... could not be listed: {}", listed.prefix, listed.end.error().text));
    }
}

void replication::verify_shard(const listed_shard& listed) {
    std::span<const entry> from(listed.places[0].entries);
    std::span<const entry> to(listed.places[1].entries);
    while (!from.empty()) {
        const auto here = take_block(from);
        const auto& name = here.front().block;
        std::vector<entry> good;
        for (const auto& e : take_block(to, name)) {
            if (std::ranges::find(here, e.size, &entry::size) != here.end()) good.push_back(e);
        }
        const bool is_new = std::ranges::max(here, {}, &entry::mtime).mtime >= began_;
        if (is_new || !wanted(name, here) || target_.plan(name, good).missing <= 0) continue;
        if (std::ranges::binary_search(reported_, name)) continue;
        ++counts_.verify_missing;
        observer_.failed({.block = name,
                          .size = here.front().size,
                          .outcome = "failed",
                          .reason = "--verify: the destination's index lacks it",
                          .server = target_.name()});
    }
}

}  // namespace keepstore::keepctl
