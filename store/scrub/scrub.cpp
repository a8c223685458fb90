#include "store/scrub/scrub.hpp"

#include "base/async_condition.hpp"
#include "base/cancellable.hpp"
#include "base/log.hpp"
#include "base/when_all.hpp"
#include "store/limits.hpp"
#include "store/scrub/scrub_pass.hpp"
#include "volumes/limits.hpp"

#include <fmt/format.h>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <mutex>

namespace keepstore::store {
namespace {

// Cap on sleeps computed from the wall clock, which may be adjusted meanwhile.
constexpr std::chrono::minutes longest_sleep{10};

}  // namespace

struct scrubber::task {
    task(const mount& m, std::uint64_t bytes_per_second, digest::engine& engine)
        : where(m),
          check_pool(limits::scrub_pool_bytes, [&engine] { engine.flush(); }),
          repair_pool(limits::repair_pool_bytes, [&engine] { engine.flush(); }),
          rate(bytes_per_second) {}

    const mount& where;
    std::vector<const mount*> same_device;
    std::vector<const mount*> sources;
    pool::lease_pool check_pool;   // Checks of up to limits::scrub_lanes chunks.
    pool::lease_pool repair_pool;  // One repair at a time.
    rate_limiter rate;
    scrub_record record;
    std::optional<scrub_time> due;  // Touched by the task's own coroutine only.

    mutable std::mutex mutex;
    // Guarded by mutex: requests that the task has not yet seen. At most one of want_start and want_stop is set.
    bool want_start = false;
    bool want_fresh = false;
    bool want_stop = false;
    std::optional<std::uint64_t> want_rate;
    async_condition changed{mutex};  // A request has come, or the running pass has ended.
};

scrubber::scrubber(block_store& store, options o, scrub_clock& clock) : store_(store), options_(o), clock_(clock) {
    std::vector<const mount*> chosen;
    const auto all = store.mounts().all();
    const auto same = [](const mount& a, const mount& b) { return a.volume->device_id() == b.volume->device_id(); };
    for (const mount& m : all) {
        if (std::ranges::any_of(chosen, [&](const mount* c) { return same(*c, m); })) continue;
        // Of several mounts of one device, prefer one that allows repairs.
        const mount* best = &m;
        for (const mount& other : all) {
            if (!best->allow_write && other.allow_write && same(m, other)) best = &other;
        }
        chosen.push_back(best);
    }
    for (const mount* c : chosen) {
        auto& t = *tasks_.emplace_back(std::make_unique<task>(*c, options_.rate, store.context().engine));
        for (const mount& m : all) {
            if (!same(*c, m)) {
                t.sources.push_back(&m);
            } else if (&m != c) {
                t.same_device.push_back(&m);
            }
        }
    }
}

scrubber::~scrubber() = default;

std::size_t scrubber::task_count() const noexcept {
    return tasks_.size();
}

scrubber::memory_stats scrubber::memory() const {
    memory_stats sum{};
    for (const auto& t : tasks_) {
        sum.checks += t->check_pool.snapshot();
        sum.repairs += t->repair_pool.snapshot();
    }
    return sum;
}

result<std::vector<scrubber::task*>> scrubber::find(std::string_view mount_uuid) const {
    std::vector<task*> out;
    const auto named = [&](const mount* m) { return m->uuid == mount_uuid; };
    for (const auto& t : tasks_) {
        if (mount_uuid.empty() || named(&t->where) || std::ranges::any_of(t->same_device, named))
            out.push_back(t.get());
    }
    if (out.empty() && !mount_uuid.empty()) return fail(errc::not_found, "no such mount");
    return out;
}

result<void> scrubber::start(const start_request& request) {
    KS_TRY(const auto tasks, find(request.mount));
    for (task* const t : tasks) {
        const std::lock_guard lock(t->mutex);
        t->want_start = true;
        t->want_fresh = request.fresh;
        t->want_stop = false;
        if (request.rate) t->want_rate = request.rate;
        t->changed.notify_all();
    }
    return success();
}

result<void> scrubber::stop(std::string_view mount_uuid) {
    KS_TRY(const auto tasks, find(mount_uuid));
    for (task* const t : tasks) {
        const std::lock_guard lock(t->mutex);
        t->want_start = false;
        t->want_stop = true;
        t->changed.notify_all();
    }
    return success();
}

result<std::vector<scrub_status>> scrubber::status(std::string_view mount_uuid) const {
    KS_TRY(const auto tasks, find(mount_uuid));
    std::vector<scrub_status> out;
    for (task* const t : tasks) {
        const std::lock_guard lock(t->mutex);
        auto& s = out.emplace_back(t->record.snapshot(clock_.now()));
        // A client that polls after its start request must not take the previous state for the end of this pass.
        if (t->want_start) s.state = scrub_state::running;
        s.mount = t->where.uuid;
        for (const mount* m : t->same_device) s.same_device.push_back(m->uuid);
        s.device_id = t->where.volume->device_id();
        s.repairs = t->where.allow_write;
        s.rate_limit = t->rate.rate();
    }
    return out;
}

awaitable<void> scrubber::run(std::size_t index) {
    task& t = *tasks_.at(index);
    co_await restore(t);
    while (true) {
        if (const bool work = co_await wait_for_work(t); !work) co_return;
        if (const bool stays = co_await run_pass(t); !stays) co_return;
    }
}

awaitable<void> scrubber::restore(task& t) {
    const auto soon = clock_.wall() + std::chrono::duration_cast<scrub_time::duration>(options_.start_delay);
    const auto bytes = co_await t.where.volume->load_metadata(scrub_pass::checkpoint_name, deadline::never());
    auto saved = bytes ? scrub_checkpoint::decode(*bytes) : std::nullopt;
    const bool ahead = saved && saved->started && *saved->started > clock_.wall();
    if (ahead) {
        // The clock was ahead. A pass that "begins" in 2038 must not put the next one off until then.
        saved->started = clock_.wall();
        log::warning("the last scrub began in the future by this clock; it counts as begun now",
                     {{"mount", t.where.uuid}});
    }
    t.due = saved && saved->interrupted ? soon : due_after(soon, saved ? saved->started : std::nullopt);
    t.record.restore(saved, t.due);
    // Saved, so that the next restart counts from the same time.
    if (ahead) co_await scrub_pass::save(t.where, t.record, deadline::in(limits::scrub_save_timeout));
}

// When the next pass is due without a request, if ever.
std::optional<scrub_time> scrubber::due_after(scrub_time not_before, std::optional<scrub_time> began) const {
    if (options_.interval <= std::chrono::nanoseconds::zero()) return std::nullopt;
    if (!began) return not_before;
    return std::max(not_before, *began + std::chrono::duration_cast<scrub_time::duration>(options_.interval));
}

void scrubber::schedule(task& t, scrub_time not_before) {
    t.due = due_after(not_before, t.record.checkpoint().started);
    t.record.set_next_due(t.due);
}

awaitable<bool> scrubber::wait_for_work(task& t) {
    // The longest that schedule() and restore() put a pass off.
    const auto longest =
        std::chrono::duration_cast<scrub_time::duration>(std::max(options_.interval, options_.start_delay));
    while (true) {
        // Later than that only by a clock that was set back since.
        if (t.due && *t.due - clock_.wall() > longest) {
            t.due = clock_.wall() + longest;
            t.record.set_next_due(t.due);
        }
        const auto left = t.due ? *t.due - clock_.wall() : scrub_time::duration::max();
        std::unique_lock lock(t.mutex);
        if (t.want_start) co_return true;
        if (std::exchange(t.want_stop, false)) {
            lock.unlock();
            // Nothing runs: a pass that would begin soon, or go on after a restart, does so an interval later.
            schedule(t, clock_.wall() + std::chrono::duration_cast<scrub_time::duration>(options_.interval));
            co_await scrub_pass::save(t.where, t.record, deadline::in(limits::scrub_save_timeout));
            continue;
        }
        if (left <= scrub_time::duration::zero()) co_return true;
        const auto until =
            t.due ? deadline::in(std::min<std::chrono::nanoseconds>(left, longest_sleep)) : deadline::never();
        const auto woken = co_await t.changed.wait(lock, until);
        if (!woken && woken.error() == errc::cancelled) co_return false;
    }
}

awaitable<bool> scrubber::run_pass(task& t) {
    const auto executor = co_await asio::this_coro::executor;
    bool fresh = t.record.position() == 0;
    {
        const std::lock_guard lock(t.mutex);
        fresh = fresh || (t.want_start && t.want_fresh);
        t.want_start = t.want_fresh = false;
        t.rate.set_rate(std::exchange(t.want_rate, std::nullopt).value_or(options_.rate));
        t.record.begin(fresh, clock_.wall(), clock_.now());
    }
    co_await scrub_pass::save(t.where, t.record, deadline::never());
    log::info(fresh ? "scrub started" : "scrub goes on where it stopped",
              {{"mount", t.where.uuid}, {"bytesPerSecond", t.rate.rate()}});

    scrub_pass pass({.store = store_.context(),
                     .check_pool = t.check_pool,
                     .repair_pool = t.repair_pool,
                     .rate = t.rate,
                     .clock = clock_,
                     .record = t.record},
                    t.where, t.sources);
    result<void> outcome;
    bool ended = false;
    asio::cancellation_signal cancel;
    spawn(executor, run_cancellable(keep_outcome(pass.run(), outcome)), cancel.slot(),
          [&](const std::exception_ptr& thrown) {
              if (thrown) outcome = fail(errc::io_error, "internal error");
              ended = true;
              const std::lock_guard lock(t.mutex);
              t.changed.notify_all();
          });
    bool leaving = false;  // The process ends.
    bool restart = false;  // From the beginning, by request.
    while (!ended) {
        std::unique_lock lock(t.mutex);
        if (!t.want_start && !t.want_stop) {
            // Requests are left to the next pass if this one has ended meanwhile.
            if (const auto woken = co_await t.changed.wait(lock, deadline::never()); woken) continue;
            leaving = true;
        }
        bool end_it = leaving;
        if (std::exchange(t.want_stop, false)) {
            end_it = true;
            restart = false;
        }
        if (std::exchange(t.want_start, false) && t.want_fresh) end_it = restart = true;
        t.want_fresh = false;
        if (t.want_rate && !restart) t.rate.set_rate(*std::exchange(t.want_rate, std::nullopt));
        lock.unlock();
        if (end_it) cancel.emit(asio::cancellation_type::total);
    }
    co_await conclude(t, outcome, leaving);
    if (restart && !leaving) {
        const std::lock_guard lock(t.mutex);
        if (!t.want_stop) t.want_start = t.want_fresh = true;
    }
    co_return !leaving;
}

awaitable<void> scrubber::conclude(task& t, result<void> outcome, bool leaving) {
    const auto interval = std::chrono::duration_cast<scrub_time::duration>(options_.interval);
    const auto now = clock_.wall();
    if (outcome) {
        t.record.end(scrub_state::finished, {}, now);
        schedule(t, now);
    } else if (outcome.error() == errc::cancelled) {
        // At the end of the process it is saved as running, so that it goes on by itself.
        if (leaving) co_await scrub_pass::save(t.where, t.record, deadline::in(limits::scrub_last_save_timeout));
        t.record.end(scrub_state::stopped, {}, now);
        schedule(t, now + interval);
    } else {
        t.record.end(scrub_state::failed, outcome.error().text, now);
        schedule(t, now);
        // The same pass goes on then; the next one is due at its own time.
        if (t.due) t.due = now + std::min<scrub_time::duration>(interval, limits::scrub_retry_after);
        t.record.set_next_due(t.due);
    }
    if (!leaving || outcome) {
        co_await scrub_pass::save(t.where, t.record, deadline::in(limits::scrub_save_timeout));
    }
    const auto counts = t.record.checkpoint().pass;
    const std::string steps =
        fmt::format("{}/{}", outcome ? limits::scrub_steps : t.record.position(), limits::scrub_steps);
    const std::initializer_list<log::field> fields{{"mount", t.where.uuid},
                                                   {"steps", steps},
                                                   {"blocks", counts.blocks},
                                                   {"bytes", counts.bytes},
                                                   {"bad", counts.bad},
                                                   {"unreadable", counts.unreadable},
                                                   {"repaired", counts.repaired},
                                                   {"irreparable", counts.irreparable},
                                                   {"waypointsWritten", counts.waypoints_written}};
    if (outcome) {
        log::info("scrub finished", fields);
    } else if (outcome.error() == errc::cancelled) {
        log::info("scrub stopped; it can go on from here", fields);
    } else {
        log::error("scrub failed: the volume " + outcome.error().text, fields);
    }
}

}  // namespace keepstore::store
