#include "keepctl/replicate/replication.hpp"

#include "base/when_all.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace keepstore::keepctl {
namespace {

// Planned blocks for each transfer: enough that none waits for the merge, few enough that a stop is quick.
constexpr std::size_t planned_per_job = 4;

std::int64_t wall_clock() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

}  // namespace

replication::replication(block_place& source, block_place& target, const replicate_options& options,
                         run_observer& observer)
    : target_(target),
      options_(options),
      observer_(observer),
      transfer_(source, target,
                {.memory_bytes = options.memory_bytes / 2,
                 .digest_threads = options.digest_threads,
                 .bandwidth = options.bandwidth,
                 .give_up_after = options.give_up_after},
                observer),
      began_(wall_clock()),
      queue_(std::make_unique<async_queue<planned_block>>(planned_per_job * options.jobs)) {
    for (auto& l : listings_) l.places = {place_listing{.place = &source}, place_listing{.place = &target}};
}

awaitable<result<unsigned>> replication::choose_digits() {
    // A few names need a few small shards.
    if (options_.only) co_return limits::shard_digits_max;
    KS_CO_TRY(const auto entries, co_await estimate_entries(listings_[0].places));
    const unsigned digits = digits_for(entries);
    // Two shards are in memory, next to the chunks of transfers.
    const std::uint64_t bytes = 2 * sizeof(entry) * (entries / shard_count(digits));
    if (entries / shard_count(digits) > limits::shard_entries_max && bytes > options_.memory_bytes / 2) {
        co_return fail(errc::bad_request,
                       fmt::format("about {} entries are too many for --memory {}MiB: they need {}MiB", entries,
                                   options_.memory_bytes / MiB, 2 * bytes / MiB + 1));
    }
    co_return digits;
}

awaitable<void> replication::run(shard_set skip) {
    shards_total_ = skip.capacity();
    shards_done_ = skip.size();
    std::vector<awaitable<void>> members;
    members.push_back(produce(skip));
    for (unsigned i = 0; i < options_.jobs; ++i) members.push_back(work());
    static_cast<void>(co_await when_all(std::move(members)));
    // What is still queued, or waits for its second chance.
    while (auto block = queue_->try_pop()) finish(std::move(*block), {.end = copy_end::cancelled});
    for (auto& block : std::exchange(again_, {})) finish(std::move(block), {.end = copy_end::cancelled});
}

void replication::stop() {
    stopping_ = true;
    queue_->close();
    transfer_.stop();
    const std::lock_guard lock(mutex_);
    idle_.notify_one();
}

void replication::give_up(error why) {
    if (!fatal_) fatal_ = std::move(why);
    stop();
}

awaitable<void> replication::produce(const shard_set& skip) {
    while (shard_count(digits_) < skip.capacity()) ++digits_;
    std::vector<shard_pass> todo;
    for (std::size_t shard = 0; shard < skip.capacity(); ++shard) {
        if (skip.contains(shard)) continue;
        auto of_shard = std::make_shared<shard_work>(shard_work{.shard = shard});
        if (shard_wanted(shard_prefix(digits_, shard))) {
            todo.push_back({.work = std::move(of_shard), .last = options_.newest_first ? 0 : band_count - 1});
        } else {
            of_shard->planned = true;
            finish_shard(of_shard);
        }
    }
    const auto all = todo;
    co_await pass_over(std::move(todo), false);
    for (unsigned band = 1; band < band_count && !stopping_; ++band) {
        todo.clear();
        for (const auto& pass : all) {
            if (pass.work->lacks[band]) todo.push_back({.work = pass.work, .first = band, .last = band});
        }
        co_await pass_over(std::move(todo), false);
    }
    if (!stopping_) {
        todo = std::exchange(incomplete_, {});
        for (auto& pass : todo) pass.last = band_count - 1;
        co_await pass_over(std::move(todo), true);
    }
    all_planned_ = !stopping_;
    co_await second_round();
    if (options_.verify && !options_.dry_run && !stopping_) co_await verify_all();
    queue_->close();
}

// Blocks that failed or were deferred get another chance when all others have had theirs.
awaitable<void> replication::second_round() {
    if (!co_await wait_for_idle()) co_return;
    second_round_ = true;
    for (auto& block : std::exchange(again_, {})) {
        ++unfinished_;
        planned_block copy = block;
        if (const auto pushed = co_await queue_->push(std::move(block), deadline::never()); !pushed)
            finish(std::move(copy), {.end = copy_end::cancelled});
    }
    static_cast<void>(co_await wait_for_idle());
}

// \returns whether every planned block was tried; not when the run is to stop.
awaitable<bool> replication::wait_for_idle() {
    std::unique_lock lock(mutex_);
    while (unfinished_ > 0 && !stopping_) {
        if (const auto woken = co_await idle_.wait(lock, deadline::never()); !woken) co_return false;
    }
    co_return !stopping_;
}

bool replication::shard_wanted(std::string_view prefix) const {
    if (!narrowed(std::string(prefix), options_.prefix)) return false;
    return !options_.only || has_prefix(*options_.only, prefix);
}

awaitable<void> replication::plan_shard(shard_pass what, listed_shard& listed, bool last_try) {
    if (!listed.end) {
        const auto& why = listed.end.error();
        if (why == errc::cancelled || stopping_) co_return;
        incomplete_.push_back(what);
        if (is_final(why)) {
            give_up(why);
        } else if (last_try) {
            observer_.warn(fmt::format("blocks {}... could not be listed: {}", listed.prefix, why.text));
        }
        co_return;
    }
    std::span<const entry> from(listed.places[0].entries);
    std::span<const entry> to(listed.places[1].entries);
    source_has_entries_ = source_has_entries_ || !from.empty();
    if (what.first == 0) counts_.left_out += listed.places[0].notes;
    while (!from.empty() && !stopping_) {
        const auto here = first_block(from);
        if (!co_await plan_block(here, take_block(to, here.front().block), what)) co_return;
        from = from.subspan(here.size());
    }
    if (!from.empty()) co_return;
    for (unsigned band = 0; band <= what.last; ++band) what.work->lacks[band] = false;
    what.work->planned = std::ranges::find(what.work->lacks, true) == what.work->lacks.end();
    finish_shard(what.work);
}

bool replication::wanted(const md5_digest& name, std::span<const entry> copies) const {
    if (options_.only && !std::ranges::binary_search(*options_.only, name)) return false;
    if (!options_.since) return true;
    return std::ranges::any_of(copies, [&](const entry& e) { return e.mtime >= *options_.since; });
}

unsigned replication::band_of(std::span<const entry> copies) const {
    const auto newest = std::ranges::max(copies, {}, &entry::mtime).mtime;
    unsigned band = 0;
    for (const std::chrono::nanoseconds age : limits::age_bands) {
        if (newest >= began_ - age.count()) return band;
        ++band;
    }
    return band;
}

// Counts a block, and queues it if the destination lacks it. \returns false when the run is to stop.
awaitable<bool> replication::plan_block(std::span<const entry> from, std::span<const entry> to,
                                        const shard_pass& what) {
    const auto& name = from.front().block;
    if (!wanted(name, from)) co_return true;
    const bool ambiguous = std::ranges::any_of(from, [&](const entry& e) { return e.size != from.front().size; });
    const auto has_right_size = [&](const entry& e) {
        return std::ranges::find(from, e.size, &entry::size) != from.end();
    };
    std::vector<entry> good;
    std::ranges::copy_if(to, std::back_inserter(good), has_right_size);
    auto plan = target_.plan(name, good);
    if (plan.missing <= 0 && !ambiguous) {
        if (what.first == 0) {
            ++counts_.listed;
            ++counts_.present;
        }
        co_return true;
    }
    const unsigned band = band_of(from);
    if (band > what.last) {
        what.work->lacks[band] = true;
        co_return true;
    }
    // One of an earlier band has had its turn, unless it was touched or written since.
    const bool is_new = std::ranges::max(from, {}, &entry::mtime).mtime >= began_;
    if (band < what.first && !is_new) co_return true;
    ++counts_.listed;
    ++counts_.planned;
    counts_.planned_bytes += from.front().size;
    if (options_.dry_run) {
        ++counts_.copied;
        counts_.bytes += from.front().size;
        co_return true;
    }
    const auto& there = good.empty() ? to : std::span<const entry>(good);
    planned_block block{.wanted = {.block = {name, from.front().size}, .sizes_differ = !good.empty()},
                        .shard = what.work};
    if (!there.empty() && (good.empty() || ambiguous)) block.wanted.target_size = there.front().size;
    for (const auto& e : from) {
        auto& others = block.wanted.other_sizes;
        if (e.size != from.front().size && std::ranges::find(others, e.size) == others.end()) others.push_back(e.size);
    }
    block.wanted.plan = std::move(plan);
    block.replaces = good.empty() && !to.empty();
    ++what.work->pending;
    ++unfinished_;
    if (auto reason = observer_.postponed(name)) {
        finish(std::move(block), {.end = copy_end::failed, .why = {errc::unavailable, std::move(*reason)}});
        co_return true;
    }
    planned_block copy = block;
    if (const auto pushed = co_await queue_->push(std::move(copy), deadline::never()); !pushed) {
        finish(std::move(block), {.end = copy_end::cancelled});
        co_return false;
    }
    co_return true;
}

awaitable<void> replication::work() {
    while (true) {
        auto block = co_await queue_->pop(deadline::never());
        if (!block) co_return;
        copy_outcome end{.end = copy_end::cancelled};
        if (!stopping_) {
            ++busy_;
            const bool may_defer = !second_round_ && again_.size() < limits::failures_kept_max;
            end = co_await transfer_.copy(block->wanted, may_defer);
            --busy_;
        }
        if (end.ends_run) give_up(end.why);
        finish(std::move(*block), std::move(end));
    }
}

void replication::finish(planned_block block, copy_outcome end) {
    const std::unique_lock lock(mutex_);
    if (unfinished_ > 0 && --unfinished_ == 0) idle_.notify_one();
    const bool again = end.end == copy_end::deferred || (end.end == copy_end::failed && end.may_pass);
    if (again && !second_round_ && !stopping_ && again_.size() < limits::failures_kept_max) {
        again_.push_back(std::move(block));
        return;
    }
    const auto shard = std::move(block.shard);
    switch (end.end) {
        case copy_end::copied:
            ++(block.replaces ? counts_.replaced : counts_.copied);
            counts_.bytes += block.wanted.block.size;
            break;
        case copy_end::present:
            ++counts_.present;
            break;
        case copy_end::gone:
            ++counts_.gone;
            break;
        case copy_end::bad_source:
            ++counts_.bad_source;
            shard->failed = true;
            report(block.wanted.block, "bad_source", std::move(end));
            break;
        case copy_end::failed:
            ++counts_.failed;
            shard->failed = true;
            report(block.wanted.block, "failed", std::move(end));
            break;
        case copy_end::deferred:
        case copy_end::cancelled:
            ++counts_.left;
            shard->failed = true;
            break;
    }
    --shard->pending;
    finish_shard(shard);
}

void replication::report(const block_id& block, std::string_view kind, copy_outcome end) {
    if (options_.verify && reported_.size() < limits::failures_kept_max) reported_.push_back(block.name);
    observer_.failed({.block = block.name,
                      .size = block.size,
                      .outcome = std::string(kind),
                      .reason = std::move(end.why.text),
                      .server = std::move(end.server)});
}

void replication::finish_shard(const std::shared_ptr<shard_work>& shard) {
    if (!shard->planned || shard->pending > 0 || shard->failed) return;
    ++shards_done_;
    observer_.shard_done(shard->shard);
}

}  // namespace keepstore::keepctl
