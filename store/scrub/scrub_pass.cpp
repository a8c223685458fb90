#include "store/scrub/scrub_pass.hpp"

#include "base/cancellable.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"
#include "base/when_all.hpp"
#include "store/scrub/lane_check.hpp"

#include <fmt/format.h>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>

namespace keepstore::store {
namespace {

bool volume_does_not_answer(const error& why) {
    return why == errc::timeout || why == errc::unavailable;
}

}  // namespace

// Gives the blocks of one step to the checkers, and waits while they are busy.
class scrub_pass::listing final : public volumes::index_sink {
  public:
    listing(scrub_pass& pass, unsigned step) : pass_(pass), step_(step) {}

    awaitable<result<void>> put(std::span<const volumes::block_info> batch) override {
        for (const auto& block : batch) {
            if (auto queued = co_await pass_.enqueue({block, step_}); !queued) co_return queued;
        }
        co_return result<void>{};
    }

  private:
    scrub_pass& pass_;
    const unsigned step_;
};

struct scrub_pass::verdict {
    enum class kind { good, bad, unreadable, gone, cancelled };
    kind is = kind::good;
    std::uint64_t size = 0;
    std::uint64_t offset = 0;
    std::string problem;
    error why{errc::io_error};
};

awaitable<result<void>> scrub_pass::run() {
    steps_begun_ = tools_.record.position();
    saved_at_ = tools_.clock.now();
    std::vector<awaitable<void>> members;
    members.push_back(list());
    for (unsigned i = 0; i < limits::scrub_blocks_max; ++i) members.push_back(check());
    for (unsigned i = 0; i < limits::scrub_lane_checks; ++i) members.push_back(check_batches());
    const bool left = co_await when_all(std::move(members));
    if (stopped_) co_return std::unexpected(*stopped_);
    if (left) co_return fail(errc::cancelled);
    co_return result<void>{};
}

awaitable<void> scrub_pass::save(const mount& where, const scrub_record& record, deadline until) {
    if (!where.allow_write) co_return;
    const auto saved = co_await where.volume->save_metadata(note_name, record.note().encode(), until);
    if (!saved && !(saved.error() == errc::unsupported) && !(saved.error() == errc::cancelled)) {
        log::warning("cannot save the state of the scrub: " + saved.error().text, {{"mount", where.uuid}});
    }
}

awaitable<void> scrub_pass::list() {
    const auto executor = co_await asio::this_coro::executor;
    while (steps_begun_ < limits::scrub_steps && !stopped_) {
        const unsigned step = steps_begun_++;
        open_steps_[step] = 1;
        for (unsigned attempt = 1;; ++attempt) {
            const auto listed = co_await list_step(step);
            if (listed) break;
            if (stopped_ || listed.error() == errc::cancelled) co_return stop(errc::cancelled);
            if (attempt == limits::scrub_attempts_max) {
                co_return stop(error(listed.error().code, "cannot be listed: " + listed.error().text));
            }
            if (const bool slept = co_await pause(attempt); !slept) co_return stop(errc::cancelled);
        }
        finish_one(step);
        // An empty volume never waits for anything; requests on the same loop have their turn.
        co_await asio::post(executor, asio::use_awaitable);
        if (const bool left = co_await is_cancelled(); left) co_return stop(errc::cancelled);
    }
    listed_ = true;
    wake_all(idle_);
    wake_all(idle_batch_checkers_);
}

awaitable<result<void>> scrub_pass::list_step(unsigned step) {
    listing blocks(*this, step);
    co_return co_await where_.volume->index(fmt::format("{:03x}", step), blocks, deadline::never());
}

awaitable<result<void>> scrub_pass::enqueue(item added) {
    const bool small = where_.volume->can_read_whole() && added.block.size <= limits::block_size_bytes_max &&
                       !has_waypoints(added.block.size);
    while (!stopped_ && (small ? !add_to_batch(added) : queue_.size() >= limits::scrub_blocks_max)) {
        signal room;
        blocked_ = room;
        if (const auto woken = co_await room.wait(); !woken) co_return fail(errc::cancelled);
    }
    if (stopped_) co_return fail(errc::cancelled);
    ++open_steps_[added.step];
    if (!small) {
        queue_.push_back(std::move(added));
        wake_one(idle_);
    }
    co_return result<void>{};
}

bool scrub_pass::add_to_batch(const item& added) {
    if (batches_.empty()) batches_.emplace_back();
    if (!batches_.back().blocks.add(added.block)) {
        if (batches_.size() == limits::scrub_batches_listed_max) return false;
        static_cast<void>(batches_.emplace_back().blocks.add(added.block));
        wake_one(idle_batch_checkers_);
    }
    batches_.back().steps.push_back(added.step);
    return true;
}

awaitable<std::optional<scrub_pass::item>> scrub_pass::next() {
    while (queue_.empty()) {
        if (listed_ || stopped_) co_return std::nullopt;
        signal work;
        idle_.push_back(work);
        if (const auto woken = co_await work.wait(); !woken) {
            std::erase_if(idle_, [&](const signal& s) { return s.same_as(work); });
            co_return std::nullopt;
        }
    }
    if (stopped_) co_return std::nullopt;
    item out = std::move(queue_.front());
    queue_.pop_front();
    wake_lister();
    co_return out;
}

awaitable<std::optional<scrub_pass::small_items>> scrub_pass::next_batch() {
    // The last one is still being filled, unless all is listed.
    while (batches_.size() < (listed_ ? 1 : 2)) {
        if (listed_ || stopped_) co_return std::nullopt;
        signal work;
        idle_batch_checkers_.push_back(work);
        if (const auto woken = co_await work.wait(); !woken) {
            std::erase_if(idle_batch_checkers_, [&](const signal& s) { return s.same_as(work); });
            co_return std::nullopt;
        }
    }
    if (stopped_) co_return std::nullopt;
    small_items out = std::move(batches_.front());
    batches_.pop_front();
    wake_lister();
    co_return out;
}

awaitable<void> scrub_pass::check() {
    while (true) {
        const auto work = co_await next();
        if (!work) co_return;
        if (const bool known = co_await check_block(work->block); !known) co_return stop(errc::cancelled);
        finish_one(work->step);
        co_await save_now_and_then();
    }
}

awaitable<void> scrub_pass::check_batches() {
    while (true) {
        const auto work = co_await next_batch();
        if (!work) co_return;
        if (const bool known = co_await check_batch(*work); !known) co_return stop(errc::cancelled);
        co_await save_now_and_then();
    }
}

awaitable<void> scrub_pass::save_now_and_then() {
    const auto now = tools_.clock.now();
    if (saving_ || now - saved_at_ < limits::scrub_save_interval) co_return;
    saving_ = true;
    co_await save(where_, tools_.record, deadline::never());
    saving_ = false;
    saved_at_ = tools_.clock.now();
}

awaitable<bool> scrub_pass::check_batch(const small_items& work) {
    const auto copies = work.blocks.copies();
    std::vector<bool> good(copies.size(), false);
    {
        const auto turn = co_await lane_checks_.enter();
        if (!turn) co_return false;
        auto checked = co_await work.blocks.check(tools_.check_pool, tools_.engine, *where_.volume, rules_);
        if (!checked && checked.error() == errc::cancelled) co_return false;
        if (checked) good = *std::move(checked);
    }
    const auto good_count = static_cast<std::uint64_t>(std::ranges::count(good, true));
    if (good_count > 0) unreadable_in_a_row_ = 0;
    tools_.record.count(&scrub_counts::blocks, good_count);
    for (std::size_t i = 0; i < copies.size(); ++i) {
        if (!good[i]) continue;
        tools_.record.settled(copies[i].name);
        finish_one(work.steps[i]);
    }
    // The others are looked at one by one: what is wrong with them, if anything, is found out there.
    for (std::size_t i = 0; i < copies.size(); ++i) {
        if (good[i]) continue;
        if (stopped_) co_return false;
        if (const bool known = co_await check_block(copies[i]); !known) co_return false;
        finish_one(work.steps[i]);
    }
    co_return true;
}

awaitable<bool> scrub_pass::check_block(const volumes::block_info& block) {
    using kind = verdict::kind;
    auto seen = block.mtime;
    unsigned attempts = 0;
    unsigned changes = 0;
    bool counted = false;
    while (true) {
        verdict found = co_await look_at(block.name);
        if (found.is == kind::cancelled) co_return false;
        if (found.is == kind::good || found.is == kind::gone) {
            unreadable_in_a_row_ = 0;
            tools_.record.count(found.is == kind::good ? &scrub_counts::blocks : &scrub_counts::vanished);
            tools_.record.settled(block.name);
            co_return true;
        }
        if (volume_does_not_answer(found.why)) {
            if (++attempts == limits::scrub_attempts_max) {
                stop(error(found.why.code, "does not answer: " + found.why.text));
                co_return false;
            }
            if (const bool slept = co_await pause(attempts); !slept) co_return false;
            continue;
        }
        // Nobody is blamed for a copy that was replaced or trashed while it was being read.
        const auto now = co_await where_.volume->mtime(block.name, deadline::never());
        if (!now && now.error() == errc::cancelled) co_return false;
        const bool gone = !now && now.error() == errc::not_found;
        if (gone || (now && *now != seen)) {
            if (now) seen = *now;
            if (!gone && ++changes <= limits::scrub_changes_max) continue;
            tools_.record.count(&scrub_counts::vanished);
            tools_.record.settled(block.name);
            co_return true;
        }

        if (found.is == kind::unreadable && ++unreadable_in_a_row_ == limits::scrub_unreadable_in_a_row_max) {
            stop(error(errc::io_error, "cannot be read: " + found.why.text));
            co_return false;
        }
        if (found.is == kind::bad) unreadable_in_a_row_ = 0;
        if (!std::exchange(counted, true)) tools_.store.counters.bad_copies.add();
        tools_.store.bad_copy_log.report(where_.uuid, block.name, found.problem, found.offset);
        auto repaired = co_await repair(block.name, seen);
        if (repaired.result == repair_report::outcome::cancelled) co_return false;
        if (repaired.result == repair_report::outcome::superseded && ++changes <= limits::scrub_changes_max) {
            const auto after = co_await where_.volume->mtime(block.name, deadline::never());
            if (after) seen = *after;
            continue;
        }
        tools_.record.count(&scrub_counts::blocks);
        tools_.record.count(found.is == kind::bad ? &scrub_counts::bad : &scrub_counts::unreadable);
        if (repaired.result == repair_report::outcome::repaired) {
            tools_.store.counters.repaired_copies.add();
            tools_.store.bad_copy_log.forget(where_.uuid, block.name);
            tools_.record.count(&scrub_counts::repaired);
            tools_.record.settled(block.name);
            log::info("scrub: a bad copy was replaced by a good one",
                      {{"block", block.name.hex()}, {"mount", where_.uuid}, {"source", repaired.source}});
        } else {
            tools_.record.irreparable({.block = block.name,
                                       .size = found.size,
                                       .offset = found.offset,
                                       .problem = found.problem + "; " + repaired.why,
                                       .first_seen = tools_.clock.wall()});
        }
        co_return true;
    }
}

awaitable<scrub_pass::verdict> scrub_pass::look_at(const md5_digest& name) {
    using kind = verdict::kind;
    using outcome = copy_report::outcome;
    verdict out;
    auto opened = co_await where_.volume->open(name, deadline::never());
    if (!opened) {
        out.why = std::move(opened.error());
        out.is = out.why == errc::not_found   ? kind::gone
                 : out.why == errc::cancelled ? kind::cancelled
                                              : kind::unreadable;
        out.problem = "cannot be read: " + out.why.text;
        co_return out;
    }
    scrub_reader copy(std::move(*opened), rules_);
    out.size = copy.size();
    if (out.size > limits::block_size_bytes_max) {
        out.is = kind::bad;
        out.problem = fmt::format("stored size {} is over the block size limit", out.size);
        out.why = errc::checksum_mismatch;
        co_return out;
    }
    auto report = co_await check_copy_in_lanes(copy, name);
    out.offset = report.offset;
    switch (report.verdict) {
        case outcome::good:
            if (report.missing_waypoints && report.attributes_supported && where_.allow_write) {
                const bool stored = co_await store_waypoints(copy, name, *report.missing_waypoints, deadline::never());
                if (stored) tools_.record.count(&scrub_counts::waypoints_written);
                if (stored) tools_.store.counters.waypoints_added.add();
            }
            if (report.false_alarm) tools_.store.counters.false_alarms.add();
            break;
        case outcome::bad:
            out.is = kind::bad;
            out.problem = "has the wrong content";
            break;
        case outcome::unreadable:
            out.is = kind::unreadable;
            out.problem = "cannot be read: " + report.why.text;
            break;
        case outcome::cancelled:
            out.is = kind::cancelled;
            break;
    }
    out.why = std::move(report.why);
    co_return out;
}

awaitable<copy_report> scrub_pass::check_copy_in_lanes(volumes::block_reader& copy, const md5_digest& name) {
    using outcome = copy_report::outcome;
    if (const auto points = co_await load_waypoints(copy, name, deadline::never())) {
        const auto turn = co_await lane_checks_.enter();
        if (!turn) co_return copy_report{.verdict = outcome::cancelled};
        const auto agrees =
            co_await agrees_with_waypoints(tools_.check_pool, tools_.engine, copy, *points, name, deadline::never());
        if (agrees && *agrees) co_return copy_report{};
        if (!agrees && agrees.error() == errc::cancelled) co_return copy_report{.verdict = outcome::cancelled};
        // Where it is bad, or whether only its waypoints are, is found out at leisure.
    }
    co_return co_await check_copy(tools_.check_pool, tools_.engine, copy, name, 1, deadline::never());
}

awaitable<repair_report> scrub_pass::repair(const md5_digest& name, volumes::block_time seen) {
    if (!where_.allow_write) co_return repair_report{.why = "the mount is read-only"};
    // One at a time, since the pool that they copy through is that of one repair.
    const auto turn = co_await repairs_.enter();
    if (!turn) co_return repair_report{.result = repair_report::outcome::cancelled};
    const repair_tools with{tools_.repair_pool, tools_.engine, rules_};
    co_return co_await repair_copy(with, where_, sources_, name, seen);
}

awaitable<bool> scrub_pass::pause(unsigned attempt) {
    co_return co_await tools_.clock.sleep(limits::scrub_pause_min * (1U << (attempt - 1)));
}

void scrub_pass::finish_one(unsigned step) {
    const auto at = open_steps_.find(step);
    if (--at->second > 0) return;
    open_steps_.erase(at);
    tools_.record.reached(open_steps_.empty() ? steps_begun_ : open_steps_.begin()->first);
}

void scrub_pass::stop(error why) {
    // A reason says more than that somebody went away because of it.
    if (!stopped_ || (*stopped_ == errc::cancelled && !(why == errc::cancelled))) stopped_ = std::move(why);
    wake_all(idle_);
    wake_all(idle_batch_checkers_);
    wake_lister();
}

void scrub_pass::wake_one(std::deque<signal>& sleepers) {
    if (sleepers.empty()) return;
    sleepers.front().set(std::monostate{});
    sleepers.pop_front();
}

void scrub_pass::wake_all(std::deque<signal>& sleepers) {
    while (!sleepers.empty()) wake_one(sleepers);
}

void scrub_pass::wake_lister() {
    if (blocked_) blocked_->set(std::monostate{});
    blocked_.reset();
}

}  // namespace keepstore::store
