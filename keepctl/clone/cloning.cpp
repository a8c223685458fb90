#include "keepctl/clone/cloning.hpp"

#include "base/when_all.hpp"
#include "keepctl/cluster/all_at_once.hpp"
#include "keepctl/cluster/bandwidth.hpp"
#include "keepctl/cluster/block_place.hpp"

#include <fmt/format.h>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <utility>

namespace keepstore::keepctl {
namespace {

unsigned jobs_of(const clone_options& options, clone_mode mode) {
    const auto jobs = options.jobs.value_or(mode == clone_mode::stream ? limits::clone_stream_jobs_default
                                                                       : limits::clone_jobs_default);
    return jobs_within(options.copier.bandwidth, jobs);
}

/// By block_copier::outcome.
constexpr std::uint64_t clone_counts::* counts_of_outcomes[] = {
    &clone_counts::copied,     &clone_counts::present, &clone_counts::replaced, &clone_counts::gone,
    &clone_counts::bad_source, &clone_counts::failed,  &clone_counts::left};

std::uint64_t throttled_by(const clone_bucket& bucket) {
    return bucket.stats().throttled.value();
}

}  // namespace

cloning::cloning(const clone_bucket& source, const clone_bucket& target, const clone_options& options,
                 segment_board& board, clone_observer& observer)
    : source_(source),
      target_(target),
      options_(options),
      board_(board),
      observer_(observer),
      copier_(source, target, options.copier, [&observer](std::string text) { observer.note(text); }),
      listings_(jobs_of(options, copier_.mode())),
      copies_(jobs_of(options, copier_.mode())),
      queue_(std::size_t{limits::clone_planned_per_job} * jobs_of(options, copier_.mode())) {}

awaitable<void> cloning::run() {
    std::vector<awaitable<void>> members;
    members.push_back(produce());
    if (options_.count_foreign && source_.has_markers) members.push_back(count_others());
    if (!options_.dry_run) {
        members.push_back(board_.renew_claims());
        members.push_back(release_claims());
        for (unsigned i = 0; i < jobs_of(options_, copier_.mode()); ++i) members.push_back(work());
    }
    static_cast<void>(co_await when_all(std::move(members)));
    // What is still queued, or waits for its second chance.
    while (auto task = queue_.try_pop()) co_await finish(std::move(*task), {.end = outcome::cancelled});
    for (auto& task : std::exchange(again_, {})) co_await finish(std::move(task), {.end = outcome::cancelled});
}

void cloning::stop() {
    if (!std::exchange(stopping_, true) && !options_.dry_run && !over_) ++busy_;  // Until the claims are released.
    queue_.close();
    listings_.close();
    copies_.close();
    const std::lock_guard lock(mutex_);
    idle_.notify_all();
    stop_requested_.notify_all();
}

void cloning::give_up(error why) {
    if (!fatal_) fatal_ = std::move(why);
    stop();
}

// Passes over the segments that are left, until none is, or only those that other workers do not finish either.
awaitable<void> cloning::produce() {
    while (!stopping_) {
        bool others = false;
        co_await pass(others);
        if (!others || stopping_ || !co_await pause(limits::clone_poll_interval)) break;
    }
    board_.stop_renewing();
    queue_.close();
    over_ = true;
    const std::lock_guard lock(mutex_);
    stop_requested_.notify_all();
}

// Other workers need not wait for the end of claims that this one does not need.
awaitable<void> cloning::release_claims() {
    {
        std::unique_lock lock(mutex_);
        while (!stopping_ && !over_) {
            if (const auto woken = co_await stop_requested_.wait(lock, deadline::never()); !woken) break;
        }
        if (!stopping_) co_return;
    }
    board_.stop_renewing();
    co_await board_.release_all(deadline::in(limits::stop_grace));
    if (busy_ > 0) --busy_;
}

awaitable<void> cloning::pass(bool& others) {
    second_round_ = false;
    if (co_await run_workers(limits::clone_segments_max, [&] { return list_segments(others); })) co_return;
    if (co_await run_workers(limits::clone_segments_max, [this] { return list_again(); })) co_return;
    // Blocks that failed get another chance when all others have had theirs.
    if (!co_await wait_for_idle()) co_return;
    second_round_ = true;
    for (auto& task : std::exchange(again_, {})) {
        ++unfinished_;
        planned_task copy = task;
        if (const auto pushed = co_await queue_.push(std::move(task), deadline::never()); !pushed)
            co_await finish(std::move(copy), {.end = outcome::cancelled});
    }
    static_cast<void>(co_await wait_for_idle());
}

awaitable<void> cloning::work() {
    while (true) {
        auto planned = co_await queue_.pop(deadline::never());
        if (!planned) co_return;
        attempt end{.end = outcome::cancelled};
        if (!stopping_ && co_await copies_.enter()) {
            ++busy_;
            end = co_await copy_patiently(planned->task);
            --busy_;
            leave(copies_);
        }
        if (end.end == outcome::failed && end.ends_run) give_up(end.why);
        ++busy_;
        co_await finish(std::move(*planned), std::move(end));
        --busy_;
    }
}

awaitable<cloning::attempt> cloning::copy_patiently(const clone_task& task) {
    for (unsigned number = 0;;) {
        auto last = co_await copier_.copy(task);
        if (last.end != outcome::failed) {
            if (last.end != outcome::cancelled) note_success();
            co_return last;
        }
        if (!last.may_pass || stopping_) co_return last;
        if (last.why == errc::unavailable || last.why == errc::timeout) {
            ++failures_in_a_row_;
            if (co_await wait_out(last.why)) continue;
            if (stopping_) co_return last;
        }
        // The client has tried several times already.
        if (++number == 2 || !co_await pause(limits::block_attempt_pause)) co_return last;
    }
}

awaitable<bool> cloning::wait_out(const error& why) {
    if (failures_in_a_row_ < limits::place_failures_max) co_return false;
    const auto now = std::chrono::steady_clock::now();
    if (!paused_since_) {
        paused_since_ = now;
        observer_.warn(fmt::format("waiting for the buckets to work again: {}", why.text));
    }
    const auto left = *paused_since_ + options_.give_up_after - now;
    if (left <= std::chrono::nanoseconds(0)) {
        give_up(why);
        co_return false;
    }
    co_return co_await pause(std::min<std::chrono::nanoseconds>(limits::place_pause, left));
}

void cloning::note_success() {
    failures_in_a_row_ = 0;
    if (std::exchange(paused_since_, std::nullopt)) observer_.warn("the buckets work again");
}

// \returns false if the run is to stop, or was cancelled.
awaitable<bool> cloning::pause(std::chrono::nanoseconds length) {
    std::unique_lock lock(mutex_);
    if (stopping_) co_return false;
    const auto woken = co_await stop_requested_.wait(lock, deadline::in(length));
    co_return !stopping_ && !woken && woken.error() == errc::timeout;
}

awaitable<bool> cloning::wait_for_idle() {
    std::unique_lock lock(mutex_);
    while (unfinished_ > 0 && !stopping_) {
        if (const auto woken = co_await idle_.wait(lock, deadline::never()); !woken) co_return false;
    }
    co_return !stopping_;
}

void cloning::leave(request_gate& gate) {
    if (copier_.mode() == clone_mode::stream) copies_.set_most(jobs_of(options_, clone_mode::stream));
    const auto throttled = throttled_by(source_) + throttled_by(target_);
    if (throttled > std::exchange(throttled_, throttled)) {
        listings_.slow_down();
        copies_.slow_down();
    }
    gate.leave();
}

awaitable<void> cloning::finish(planned_task done, attempt end) {
    if (unfinished_ > 0) --unfinished_;
    if (end.end == outcome::failed && end.may_pass && !second_round_ && !stopping_ &&
        again_.size() < limits::failures_kept_max) {
        again_.push_back(std::move(done));
    } else {
        const auto segment = std::move(done.segment);
        auto& report = segment->report;
        const auto count = [&](std::uint64_t clone_counts::* member, std::uint64_t n = 1) {
            counts_.*member += n;
            report.counts.*member += n;
        };
        const auto fail_with = [&](std::string_view kind) {
            block_failure failure{.block = done.task.name,
                                  .size = done.task.size,
                                  .outcome = std::string(kind),
                                  .reason = end.why.text,
                                  .server = (end.of_source ? source_ : target_).text};
            observer_.failed(failure);
            if (report.failed.size() < limits::clone_failures_kept) report.failed.push_back(std::move(failure));
        };
        count(counts_of_outcomes[static_cast<std::size_t>(end.end)]);
        if (end.end == outcome::bad_source) fail_with("bad_source");
        if (end.end == outcome::failed) fail_with("failed");
        count(&clone_counts::bytes, end.bytes);
        count(&clone_counts::read_to_verify, end.reads);
        --segment->pending;
        co_await finish_segment(segment);
    }
    const std::lock_guard lock(mutex_);
    if (unfinished_ == 0) idle_.notify_one();
}

awaitable<void> cloning::finish_segment(std::shared_ptr<segment_work> segment) {
    auto& report = segment->report;
    if (!segment->planned || segment->pending > 0 || report.counts.left > 0 || options_.dry_run) co_return;
    segment->planned = false;  // Once.
    report.ended_at = clone_time_now();
    report.worker = board_.worker();
    auto written = co_await board_.respond(report, deadline::in(limits::keepctl_block_timeout));
    if (written) co_return;
    ++incomplete_;
    board_.give_up(report.segment);
    observer_.warn(fmt::format("the response of a segment could not be written, so it will be looked at again: {}",
                               written.error().text));
}

}  // namespace keepstore::keepctl
