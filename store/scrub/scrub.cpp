#include "store/scrub/scrub.hpp"

#include "base/cancellable.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"
#include "store/scrub/scrub_pass.hpp"

#include <fmt/format.h>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <mutex>

namespace keepstore::store {
namespace {

using signal = one_shot<std::monostate>;

// The wall clock may be set; nobody sleeps longer on what it said.
constexpr std::chrono::minutes longest_sleep{10};

awaitable<void> run_into(scrub_pass& pass, result<void>& outcome) {
    co_await accept_cancellation();
    outcome = co_await pass.run();
}

}  // namespace

struct scrubber::task {
    task(const mount& m, std::uint64_t rate) : where(m), pace(rate) {}

    const mount& where;
    std::vector<const mount*> same_device;
    std::vector<const mount*> sources;
    pool::buffer_pool check_pool{limits::scrub_pool_bytes};
    pool::buffer_pool repair_pool{limits::copy_pool_bytes};
    scrub_pace pace;
    scrub_record record;
    std::optional<scrub_time> due;  // Of the task's own coroutine only.

    mutable std::mutex mutex;
    // Guarded by mutex: what was asked for and not yet done.
    bool want_start = false;
    bool want_fresh = false;
    bool want_stop = false;
    std::optional<std::uint64_t> rate;
    std::optional<signal> listener;  // The task's coroutine, while it waits.

    // Call with the mutex held.
    void wake() {
        if (listener) listener->set(std::monostate{});
        listener.reset();
    }
    // What the next request, or the end of a pass, will wake.
    signal listen() {
        const std::lock_guard lock(mutex);
        signal out;
        listener = out;
        if (want_start || want_stop) wake();
        return out;
    }
};

scrubber::scrubber(block_store& store, digest::engine& engine, options o, scrub_clock& clock)
    : store_(store), engine_(engine), options_(o), clock_(clock) {
    std::vector<const mount*> chosen;
    const auto all = store.mounts().all();
    const auto same = [](const mount& a, const mount& b) { return a.volume->device_id() == b.volume->device_id(); };
    for (const mount& m : all) {
        if (std::ranges::any_of(chosen, [&](const mount* c) { return same(*c, m); })) continue;
        // Of several mounts of one device that one which may repair.
        const mount* best = &m;
        for (const mount& other : all) {
            if (!best->allow_write && other.allow_write && same(m, other)) best = &other;
        }
        chosen.push_back(best);
    }
    for (const mount* c : chosen) {
        auto& t = *tasks_.emplace_back(std::make_unique<task>(*c, options_.rate));
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

std::size_t scrubber::memory_in_use() const {
    std::size_t sum = 0;
    for (const auto& t : tasks_) sum += t->check_pool.snapshot().in_use_bytes + t->repair_pool.snapshot().in_use_bytes;
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
    const auto tasks = find(request.mount);
    if (!tasks) return std::unexpected(tasks.error());
    for (task* const t : *tasks) {
        const std::lock_guard lock(t->mutex);
        t->want_start = true;
        t->want_fresh = request.fresh;
        t->want_stop = false;
        if (request.rate) t->rate = request.rate;
        t->wake();
    }
    return {};
}

result<void> scrubber::stop(std::string_view mount_uuid) {
    const auto tasks = find(mount_uuid);
    if (!tasks) return std::unexpected(tasks.error());
    for (task* const t : *tasks) {
        const std::lock_guard lock(t->mutex);
        t->want_start = false;
        t->want_stop = true;
        t->wake();
    }
    return {};
}

result<std::vector<scrub_status>> scrubber::status(std::string_view mount_uuid) const {
    const auto tasks = find(mount_uuid);
    if (!tasks) return std::unexpected(tasks.error());
    std::vector<scrub_status> out;
    for (task* const t : *tasks) {
        const std::lock_guard lock(t->mutex);
        auto& s = out.emplace_back(t->record.snapshot(clock_.now()));
        // Who has asked for it must not take the state before for its end.
        if (t->want_start) s.state = scrub_state::running;
        s.mount = t->where.uuid;
        for (const mount* m : t->same_device) s.same_device.push_back(m->uuid);
        s.device_id = t->where.volume->device_id();
        s.repairs = t->where.allow_write;
        s.rate_limit = t->pace.rate();
    }
    return out;
}

awaitable<void> scrubber::run(std::size_t index) {
    task& t = *tasks_.at(index);
    co_await accept_cancellation();
    co_await restore(t);
    while (true) {
        if (const bool work = co_await wait_for_work(t); !work) co_return;
        if (const bool go_on = co_await run_pass(t); !go_on) co_return;
    }
}

awaitable<void> scrubber::restore(task& t) {
    const auto soon = clock_.wall() + std::chrono::duration_cast<scrub_time::duration>(options_.start_delay);
    const auto bytes = co_await t.where.volume->load_metadata(scrub_pass::note_name, deadline::never());
    const auto note = bytes ? scrub_note::decode(*bytes) : std::nullopt;
    t.due = note && note->interrupted ? soon : due_after(soon, note ? note->started : std::nullopt);
    t.record.restore(note, t.due);
}

// When the next pass is due by itself, if ever.
std::optional<scrub_time> scrubber::due_after(scrub_time not_before, std::optional<scrub_time> began) const {
    if (options_.interval <= std::chrono::nanoseconds::zero()) return std::nullopt;
    if (!began) return not_before;
    return std::max(not_before, *began + std::chrono::duration_cast<scrub_time::duration>(options_.interval));
}

void scrubber::schedule(task& t, scrub_time not_before) {
    t.due = due_after(not_before, t.record.note().started);
    t.record.set_next_due(t.due);
}

awaitable<bool> scrubber::wait_for_work(task& t) {
    const auto executor = co_await asio::this_coro::executor;
    while (true) {
        const signal asked = t.listen();
        bool put_off = false;
        {
            const std::lock_guard lock(t.mutex);
            if (t.want_start) co_return true;
            put_off = std::exchange(t.want_stop, false);
        }
        if (put_off) {
            // Nothing runs; what would begin soon, or go on after a restart, does not.
            schedule(t, clock_.wall() + std::chrono::duration_cast<scrub_time::duration>(options_.interval));
            co_await scrub_pass::save(t.where, t.record, deadline::in(limits::volume_call_timeout));
            continue;
        }
        const auto left = t.due ? *t.due - clock_.wall() : scrub_time::duration(longest_sleep);
        if (left <= scrub_time::duration::zero()) co_return true;
        asio::steady_timer timer(executor);
        if (t.due) {
            timer.expires_after(std::min<std::chrono::nanoseconds>(left, longest_sleep));
            timer.async_wait([asked](const boost::system::error_code& ec) {
                if (!ec) asked.set(std::monostate{});
            });
        }
        if (const auto woken = co_await asked.wait(); !woken) co_return false;
    }
}

awaitable<bool> scrubber::run_pass(task& t) {
    const auto executor = co_await asio::this_coro::executor;
    bool fresh = t.record.position() == 0;
    {
        const std::lock_guard lock(t.mutex);
        fresh = fresh || (t.want_start && t.want_fresh);
        t.want_start = t.want_fresh = false;
        t.pace.set_rate(t.rate.value_or(options_.rate));
        t.rate.reset();
        t.record.begin(fresh, clock_.wall(), clock_.now());
    }
    co_await scrub_pass::save(t.where, t.record, deadline::never());
    log::info(fresh ? "scrub started" : "scrub goes on where it stopped",
              {{"mount", t.where.uuid}, {"bytesPerSecond", t.pace.rate()}});

    scrub_pass pass({.store = store_.context(),
                     .engine = engine_,
                     .check_pool = t.check_pool,
                     .repair_pool = t.repair_pool,
                     .pace = t.pace,
                     .clock = clock_,
                     .record = t.record},
                    t.where, t.sources);
    result<void> outcome;
    bool ended = false;
    asio::cancellation_signal cancel;
    asio::co_spawn(executor, run_into(pass, outcome),
                   asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr thrown) {
                       if (thrown) outcome = fail(errc::io_error, "internal error");
                       ended = true;
                       const std::lock_guard lock(t.mutex);
                       t.wake();
                   }));
    bool leaving = false;  // The process ends.
    bool restart = false;  // Somebody wants it from the beginning.
    while (!ended) {
        const signal news = t.listen();
        const auto woken = co_await news.wait();
        if (ended) break;
        bool end_it = false;
        if (!woken) {
            leaving = end_it = true;
        } else {
            const std::lock_guard lock(t.mutex);
            if (std::exchange(t.want_stop, false)) {
                end_it = true;
                restart = false;
            }
            if (std::exchange(t.want_start, false) && t.want_fresh) end_it = restart = true;
            t.want_fresh = false;
            if (t.rate && !restart) t.pace.set_rate(*std::exchange(t.rate, std::nullopt));
        }
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
        // Saved as running when the process ends, so that it goes on by itself.
        if (leaving) co_await scrub_pass::save(t.where, t.record, deadline::in(limits::scrub_last_save_timeout));
        t.record.end(scrub_state::stopped, {}, now);
        schedule(t, now + interval);
    } else {
        t.record.end(scrub_state::failed, outcome.error().text, now);
        schedule(t, now);
        // It goes on, which is not the next pass.
        if (t.due) t.due = now + std::min<scrub_time::duration>(interval, limits::scrub_retry_after);
        t.record.set_next_due(t.due);
    }
    if (!leaving || outcome) {
        co_await scrub_pass::save(t.where, t.record, deadline::in(limits::volume_call_timeout));
    }
    const auto counts = t.record.note().pass;
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
