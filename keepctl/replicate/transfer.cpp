#include "keepctl/replicate/transfer.hpp"

#include "base/limits.hpp"
#include "base/when_all.hpp"
#include "keepctl/cluster/bandwidth.hpp"

#include <fmt/format.h>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <random>
#include <utility>

namespace keepstore::keepctl {
namespace {

using clock = server_health::clock;

copy_outcome failure(error why, bool of_target, std::string server) {
    // One unreadable file of a source says nothing about the others; a folder that may not be written does.
    const bool denied = of_target && why.cause == std::errc::permission_denied;
    const bool ends_run = (is_final(why) && why != errc::no_space) || denied;
    const bool may_pass = may_pass_later(why) && !denied;
    return {.end = copy_end::failed,
            .why = std::move(why),
            .may_pass = may_pass,
            .ends_run = ends_run,
            .server = std::move(server)};
}

std::chrono::milliseconds random_pause(unsigned number) {
    thread_local std::minstd_rand random{std::random_device()()};
    const auto longest = limits::block_attempt_pause.count() << number;
    return std::chrono::milliseconds(std::uniform_int_distribution<std::int64_t>(0, longest)(random));
}

std::vector<server_health> health_of(const block_place& place) {
    std::vector<server_health> out;
    for (const auto& name : place.server_names()) out.emplace_back(name);
    return out;
}

}  // namespace

transfer::transfer(block_place& source, block_place& target, const options& given, run_observer& observer)
    : source_(source),
      target_(target),
      options_(given),
      observer_(observer),
      engine_(given.digest_threads),
      pool_(given.memory_bytes),
      bandwidth_(given.bandwidth),
      source_health_(health_of(source)),
      target_health_(health_of(target)) {
    pool_.on_exhausted([this] { engine_.flush(); });
}

void transfer::wake() {
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
}

void transfer::stop() {
    stopping_ = true;
    wake();
}

awaitable<copy_outcome> transfer::copy(wanted_block& wanted, bool may_defer) {
    auto end = co_await copy_of_size(wanted, may_defer);
    const auto fails = [](const copy_outcome& o) {
        return !o.ends_run && (o.end == copy_end::failed || o.end == copy_end::bad_source || o.end == copy_end::gone);
    };
    while (fails(end) && !wanted.other_sizes.empty()) {
        wanted.block.size = wanted.other_sizes.back();
        wanted.other_sizes.pop_back();
        auto next = co_await copy_of_size(wanted, may_defer);
        if (!fails(next) || end.end == copy_end::gone) end = std::move(next);
    }
    co_return end;
}

awaitable<copy_outcome> transfer::copy_of_size(wanted_block& wanted, bool may_defer) {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    for (unsigned number = 0; !stopping_;) {
        attempt_state state{.until = deadline::in(limits::keepctl_block_timeout),
                            .is_last = number + 1 == limits::block_attempts_max};
        auto last = co_await attempt(wanted, state);
        if (last.end == copy_end::deferred) {
            if (may_defer && state.others_work()) co_return last;
            if (auto waited = co_await wait_for(*state.paused); waited.end != copy_end::deferred) co_return waited;
            continue;
        }
        if (last.end != copy_end::failed || !last.may_pass || state.is_last) co_return last;
        timer.expires_after(random_pause(number));
        if (const auto [failed] = co_await expiry(timer); failed) co_return copy_outcome{copy_end::cancelled};
        ++number;
    }
    co_return copy_outcome{copy_end::cancelled};
}

// Waits for a change of any server, or the next probe of this one. \returns `deferred` when another attempt makes
// sense.
awaitable<copy_outcome> transfer::wait_for(server_health& server) {
    const auto now = clock::now();
    std::chrono::nanoseconds patience = options_.give_up_after;
    if (server.full()) patience = std::min<std::chrono::nanoseconds>(patience, limits::full_give_up_after);
    const auto give_up_at = server.since() + std::chrono::duration_cast<clock::duration>(patience);
    if (server.paused() && now >= give_up_at)
        co_return copy_outcome{.end = copy_end::cancelled, .why = server.why(), .ends_run = true};
    const auto left = server.wait(now);
    if (left > clock::duration::zero()) {
        ++waiting_;
        std::unique_lock lock(mutex_);
        const auto woken = co_await changed_.wait(lock, deadline(std::min(now + left, give_up_at)));
        lock.unlock();
        --waiting_;
        if (!woken && woken.error() == errc::cancelled) co_return copy_outcome{copy_end::cancelled};
    }
    co_return copy_outcome{stopping_ ? copy_end::cancelled : copy_end::deferred};
}

// Remembers the first server that the block would need, and is paused.
void transfer::attempt_state::hold(server_health& server, const health_list& its_place) {
    if (paused) return;
    paused = &server;
    place = &its_place;
}

bool transfer::attempt_state::others_work() const {
    return std::ranges::any_of(*place, [](const server_health& h) { return !h.paused(); });
}

void transfer::note_success(server_health& server) {
    if (!server.succeeded()) return;
    observer_.warn(server.name() + " works again");
    wake();
}

void transfer::note(server_health& server, const error& why) {
    if (why == errc::no_space) {
        if (server.refused_as_full(why, clock::now()))
            observer_.warn(
                fmt::format("{} is full, nothing is written there until it has room: {}", server.name(), why.text));
    } else if (why == errc::unavailable || why == errc::timeout) {
        if (server.failed(why, clock::now()))
            observer_.warn(fmt::format("{} is paused until it works again, after {} failures in a row: {}",
                                       server.name(), limits::place_failures_max, why.text));
    } else if (why != errc::cancelled) {
        note_success(server);  // It responds.
    }
}

awaitable<copy_outcome> transfer::attempt(wanted_block& wanted, attempt_state& state) {
    if (wanted.target_size) {
        if (auto known = co_await verify_target(wanted, state)) co_return std::move(*known);
    }
    copy_outcome last{copy_end::failed, {errc::unavailable, "no server of the destination may store it"}};
    auto& plan = wanted.plan;
    std::vector<std::uint16_t> passed;  // Servers that are paused, or have failed in this attempt.
    while (plan.missing > 0) {
        auto to = next_destinations(plan, passed, state);
        if (to.empty()) break;
        auto source_end = co_await copy_to(wanted.block, to, state);
        std::optional<copy_outcome> ends;
        for (auto& d : to) {
            if (!d.end) continue;
            if (d.end->end == copy_end::copied) {
                plan.missing -= *d.stored;
                std::erase_if(plan.servers, [&](const store_target& t) { return t.server == d.to.server; });
                continue;
            }
            // It belongs on the first servers of its order: others take over when these are paused, or at last.
            if (d.end->ends_run || (d.end->may_pass && !state.is_last)) {
                if (!ends || d.end->ends_run) ends = std::move(d.end);
                continue;
            }
            if (d.end->why == errc::no_space) state.hold(target_health_[d.to.server], target_health_);
            passed.push_back(d.to.server);
            last = std::move(*d.end);
        }
        if (ends && ends->ends_run) co_return std::move(*ends);
        if (source_end) co_return std::move(*source_end);
        if (ends) co_return std::move(*ends);
    }
    if (plan.missing <= 0) co_return copy_outcome{copy_end::copied};
    if (state.paused) co_return copy_outcome{.end = copy_end::deferred, .why = state.paused->why()};
    if (last.why == errc::no_space) last.may_pass = true;
    co_return last;
}

// The first servers of the plan that work and are enough together: they get the block at the same time.
std::vector<transfer::destination> transfer::next_destinations(const store_plan& plan,
                                                               std::vector<std::uint16_t>& passed,
                                                               attempt_state& state) {
    std::vector<destination> out;
    std::int64_t expected = 0;
    for (const auto& target : plan.servers) {
        if (expected >= plan.missing) break;
        if (std::ranges::find(passed, target.server) != passed.end()) continue;
        auto& health = target_health_[target.server];
        if (health.admit(clock::now()) > clock::duration::zero()) {
            state.hold(health, target_health_);
            passed.push_back(target.server);
            continue;
        }
        out.push_back({.to = target});
        expected += target.replicas_max;
    }
    return out;
}

// Finds out what the destination's copy of another size is. \returns nothing if it is to be replaced.
awaitable<std::optional<copy_outcome>> transfer::verify_target(const wanted_block& wanted, attempt_state& state) {
    const block_id there{wanted.block.name, *wanted.target_size};
    auto verified = co_await verify(target_, target_health_, there, state);
    if (verified) {
        if (wanted.sizes_differ) {
            if (wanted.plan.missing <= 0) co_return copy_outcome{copy_end::present};
            co_return std::nullopt;
        }
        // One of the two sizes is wrong, and it is not the destination's: most likely the source's copy is bad.
        auto source = co_await verify(source_, source_health_, wanted.block, state);
        if (!source) co_return outcome_of_source(std::move(source.error()), state);
        co_return copy_outcome{
            .end = copy_end::failed,
            .why = {errc::collision, "collision: the destination has another block with the same MD5"},
            .server = target_.name()};
    }
    if (verified.error() == errc::cancelled) co_return copy_outcome{copy_end::cancelled};
    if (state.paused) co_return copy_outcome{.end = copy_end::deferred, .why = state.paused->why()};
    // Only a copy that is known to be bad is replaced.
    if (verified.error() != errc::checksum_mismatch && verified.error() != errc::not_found)
        co_return failure(std::move(verified.error()), true, target_.name());
    co_return std::nullopt;
}

// Brings the block from the first source that has a good copy to all of these servers. \returns what is wrong with the
// sources, if some servers have no end because of it.
awaitable<std::optional<copy_outcome>> transfer::copy_to(block_id block, std::span<destination> to,
                                                         attempt_state& state) {
    std::optional<error> bad;
    std::optional<error> failed;
    std::string where;  // The last of these.
    for (const auto number : source_.sources(block.name)) {
        auto& source = source_health_[number];
        if (source.admit(clock::now()) > clock::duration::zero()) {
            state.hold(source, source_health_);
            continue;
        }
        auto from = co_await source_.open(block, number, state.until);
        if (!from) {
            if (from.error() == errc::cancelled) co_return copy_outcome{copy_end::cancelled};
            note(source, from.error());
            if (from.error() == errc::checksum_mismatch)
                bad = std::move(from.error());
            else if (from.error() != errc::not_found)
                failed = std::move(from.error());
            if (bad || failed) where = source.name();
            continue;
        }
        co_await read_from(**from, to, block, state.until);
        from->reset();                // Its connection is for the next block.
        std::optional<error> broken;  // The source.
        bool refused = false;         // The bytes that have come to a server are not the block.
        for (auto& d : to) {
            if (d.end) continue;
            auto& target = target_health_[d.to.server];
            if (d.stored) {
                note_success(source);
                note_success(target);
                d.end = copy_outcome{copy_end::copied};
            } else if (d.stored.error() == errc::cancelled) {
                co_return copy_outcome{copy_end::cancelled};
            } else if (d.source_failed) {
                broken = std::move(d.stored.error());
            } else if (d.stored.error() == errc::checksum_mismatch) {
                note_success(target);
                refused = true;
            } else {
                note(target, d.stored.error());
                d.end = failure(std::move(d.stored.error()), true, target.name());
            }
        }
        if (broken) {
            broken = co_await reason_of_failure(source_, block, number, std::move(*broken), source, state.until);
        } else if (refused) {
            auto proven = co_await prove(source_, block, number, source, state.until);
            if (proven) {
                end_damaged(to);
                co_return std::nullopt;
            }
            broken = std::move(proven.error());
        }
        if (!broken) co_return std::nullopt;
        auto& why = *broken;
        if (why == errc::cancelled) co_return copy_outcome{copy_end::cancelled};
        if (why == errc::checksum_mismatch)
            bad = std::move(why);
        else if (why != errc::not_found)
            failed = std::move(why);
        where = source.name();
    }
    if (failed) co_return failure(std::move(*failed), false, std::move(where));
    // Nothing is concluded from the servers that responded while one did not.
    if (state.paused) co_return copy_outcome{.end = copy_end::deferred, .why = state.paused->why()};
    if (bad) co_return copy_outcome{.end = copy_end::bad_source, .why = std::move(*bad), .server = std::move(where)};
    co_return copy_outcome{copy_end::gone};
}

// The bytes are right at the source, and other ones have come to these servers.
void transfer::end_damaged(std::span<destination> to) {
    constexpr std::string_view reason = "; the source has the right bytes: they are damaged on the way";
    for (auto& d : to) {
        if (d.end) continue;
        auto text = fmt::format("{}{}", d.stored.error().text, reason);
        d.end = failure({errc::unavailable, std::move(text)}, true, target_health_[d.to.server].name());
    }
}

// Brings the bytes of a copy to the servers without an end: proven, unless they prove them.
awaitable<void> transfer::read_from(protocol::block_source& source, std::span<destination> to, block_id block,
                                    deadline until) {
    paced_source paced(source, bandwidth_);
    if (target_.proves_stored()) {
        protocol::unproven_stream bytes(paced, pool_);
        co_await store_on(to, block, bytes, until);
    } else {
        protocol::proven_stream bytes(paced, block.name, engine_, pool_,
                                      {.queue_bytes = limits::keepctl_queue_bytes, .batching = true});
        co_await store_on(to, block, bytes, until);
    }
}

// Stores the block on the servers without an end: read once, for all of them.
awaitable<void> transfer::store_on(std::span<destination> to, block_id block, protocol::block_stream& bytes,
                                   deadline until) {
    std::vector<destination*> left;
    for (auto& d : to) {
        if (!d.end) left.push_back(&d);
    }
    if (left.size() == 1) {
        left.front()->stored = co_await target_.store(block, left.front()->to.server, bytes, until);
        left.front()->source_failed = bytes.source_failed();
        co_return;
    }
    stream_tee tee(bytes, left.size());
    std::vector<awaitable<void>> members;
    members.push_back(tee.run(until));
    for (std::size_t i = 0; i < left.size(); ++i) members.push_back(store_branch(*left[i], block, tee.at(i), until));
    static_cast<void>(co_await when_all(std::move(members)));
    for (std::size_t i = 0; i < left.size(); ++i) left[i]->source_failed = tee.at(i).source_failed();
}

awaitable<void> transfer::store_branch(destination& to, block_id block, stream_tee::branch& bytes, deadline until) {
    to.stored = co_await target_.store(block, to.to.server, bytes, until);
    bytes.close();
}

copy_outcome transfer::outcome_of_source(error why, const attempt_state& state) const {
    if (why == errc::cancelled) return {copy_end::cancelled};
    if (state.paused) return {.end = copy_end::deferred, .why = state.paused->why()};
    if (why == errc::not_found) return {copy_end::gone};
    if (why == errc::checksum_mismatch)
        return {.end = copy_end::bad_source, .why = std::move(why), .server = source_.name()};
    return failure(std::move(why), false, source_.name());
}

}  // namespace keepstore::keepctl
