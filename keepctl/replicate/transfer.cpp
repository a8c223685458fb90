// One block of a replication: from the first source with a good copy to as many targets as should have it.

#include "base/limits.hpp"
#include "keepctl/replicate/replication.hpp"

#include <fmt/format.h>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <random>
#include <utility>

namespace keepstore::keepctl {
namespace {

bool may_pass_later(const error& why) {
    return !is_final(why) && (why == errc::unavailable || why == errc::timeout || why == errc::io_error);
}

std::chrono::milliseconds random_pause(unsigned number) {
    thread_local std::minstd_rand random{std::random_device()()};
    const auto longest = limits::block_attempt_pause.count() << number;
    return std::chrono::milliseconds(std::uniform_int_distribution<std::int64_t>(0, longest)(random));
}

}  // namespace

replication::attempt replication::failure(error why, bool of_target) {
    // One unreadable file of a source says nothing about the others; a folder that may not be written does.
    const bool denied = of_target && why.cause == std::errc::permission_denied;
    return {.end = outcome::failed,
            .why = why,
            .may_pass = may_pass_later(why) && !denied,
            .ends_run = (is_final(why) && why != errc::no_space) || denied};
}

awaitable<replication::attempt> replication::copy_patiently(const planned_block& block) {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    for (unsigned number = 0;;) {
        auto last = co_await copy(block);
        const bool full = last.why == errc::no_space;
        if (last.end != outcome::failed) {
            if (last.end != outcome::cancelled) note_success();
            co_return last;
        }
        if ((!last.may_pass && !full) || stopping_) co_return last;
        if (full || last.why == errc::unavailable || last.why == errc::timeout) {
            ++failures_in_a_row_;
            if (co_await wait_out(last.why)) continue;
            if (stopping_) co_return last;
        }
        if (++number == limits::block_attempts_max) co_return last;
        timer.expires_after(random_pause(number - 1));
        if (const auto [failed] = co_await timer.async_wait(use_tuple); failed) co_return attempt{outcome::cancelled};
    }
}

awaitable<bool> replication::wait_out(const error& why) {
    const bool full = why == errc::no_space;
    if (!full && failures_in_a_row_ < limits::place_failures_max) co_return false;
    const auto now = std::chrono::steady_clock::now();
    if (!paused_since_) {
        paused_since_ = now;
        observer_.warn(fmt::format("waiting for the places to work again: {}", why.text));
    }
    std::chrono::nanoseconds patience = options_.give_up_after;
    if (full) patience = std::min<std::chrono::nanoseconds>(patience, limits::full_give_up_after);
    const auto left = *paused_since_ + patience - now;
    if (left <= std::chrono::nanoseconds(0)) {
        give_up(why);
        co_return false;
    }
    asio::steady_timer timer(co_await asio::this_coro::executor);
    timer.expires_after(std::min<std::chrono::nanoseconds>(full ? limits::full_pause : limits::place_pause, left));
    const auto [failed] = co_await timer.async_wait(use_tuple);
    co_return !failed && !stopping_;
}

void replication::note_success() {
    failures_in_a_row_ = 0;
    if (!std::exchange(paused_since_, std::nullopt)) return;
    observer_.warn("the places work again");
}

awaitable<replication::attempt> replication::copy(const planned_block& block) {
    const auto until = deadline::in(limits::keepctl_block_timeout);
    if (block.target_size) {
        auto verified = co_await verify(target_, {block.block.name, *block.target_size}, until);
        if (verified) {
            if (block.sizes_differ) co_return attempt{outcome::present};
            // One of the two sizes is wrong, and it is not the destination's: most likely the source's copy is bad.
            auto source = co_await verify(source_, block.block, until);
            if (!source) co_return outcome_of_source(std::move(source.error()));
            co_return attempt{outcome::failed,
                              {errc::collision, "collision: the destination has another block with the same MD5"}};
        }
        if (verified.error() == errc::cancelled) co_return attempt{outcome::cancelled};
        // Only a copy that is known to be bad is replaced.
        if (verified.error() != errc::checksum_mismatch && verified.error() != errc::not_found)
            co_return failure(std::move(verified.error()), true);
    }
    attempt last{outcome::failed, {errc::unavailable, "no destination takes it"}, true};
    std::size_t stored = 0;
    for (std::size_t target = 0; target < target_.targets() && stored < target_.copies_wanted(); ++target) {
        auto end = co_await copy_to(block, target, until);
        if (end.end == outcome::copied)
            ++stored;
        else if (end.end != outcome::failed)
            co_return end;
        else
            last = std::move(end);
    }
    if (stored >= target_.copies_wanted()) co_return attempt{outcome::copied};
    co_return last;
}

awaitable<replication::attempt> replication::copy_to(const planned_block& block, std::size_t target, deadline until) {
    std::optional<error> bad;
    std::optional<error> failed;
    for (std::size_t number = 0; number < source_.sources(); ++number) {
        auto from = co_await source_.open(block.block, number, until);
        if (!from) {
            if (from.error() == errc::cancelled) co_return attempt{outcome::cancelled};
            if (from.error() == errc::checksum_mismatch)
                bad = std::move(from.error());
            else if (from.error() != errc::not_found)
                failed = std::move(from.error());
            continue;
        }
        protocol::proven_stream bytes(**from, block.block.name, engine_, pool_,
                                      {.queue_bytes = limits::keepctl_queue_bytes, .batching = true});
        auto stored = co_await target_.store(block.block, target, bytes, until);
        if (stored) co_return attempt{outcome::copied};
        if (stored.error() == errc::cancelled) co_return attempt{outcome::cancelled};
        if (!bytes.source_failed()) co_return failure(std::move(stored.error()), true);
        (stored.error() == errc::checksum_mismatch ? bad : failed) = std::move(stored.error());
    }
    if (failed) co_return failure(std::move(*failed), false);
    if (bad) co_return attempt{outcome::bad_source, std::move(*bad)};
    co_return attempt{outcome::gone};
}

replication::attempt replication::outcome_of_source(error why) {
    if (why == errc::cancelled) return attempt{outcome::cancelled};
    if (why == errc::not_found) return attempt{outcome::gone};
    if (why == errc::checksum_mismatch) return attempt{outcome::bad_source, std::move(why)};
    return failure(std::move(why), false);
}

// Reads a place's copies until one proves to be the block. errc::not_found: there is none; checksum_mismatch: none is
// good.
awaitable<result<void>> replication::verify(block_place& place, block_id block, deadline until) {
    error last = errc::not_found;
    for (std::size_t number = 0; number < place.sources(); ++number) {
        auto copy = co_await place.open(block, number, until);
        if (!copy) {
            if (copy.error() != errc::not_found) last = std::move(copy.error());
            continue;
        }
        protocol::proven_stream bytes(**copy, block.name, engine_, pool_,
                                      {.queue_bytes = limits::keepctl_queue_bytes, .batching = true});
        while (true) {
            auto piece = co_await bytes.next(until);
            if (!piece) {
                last = std::move(piece.error());
                break;
            }
            if (piece->size() == 0) co_return success();
        }
    }
    co_return std::unexpected(std::move(last));
}

}  // namespace keepstore::keepctl
