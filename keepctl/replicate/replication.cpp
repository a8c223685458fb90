#include "keepctl/replicate/replication.hpp"

#include "base/when_all.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace keepstore::keepctl {
namespace {

// Planned blocks for each transfer: enough that none waits for the merge, few enough that a stop is quick.
constexpr std::size_t planned_per_job = 4;

}  // namespace

replication::replication(block_place& source, block_place& target, const replicate_options& options,
                         run_observer& observer)
    : source_(source),
      target_(target),
      options_(options),
      observer_(observer),
      engine_(options.digest_threads),
      pool_(options.memory_bytes / 2),
      queue_(std::make_unique<async_queue<planned_block>>(planned_per_job * options.jobs)),
      listings_{place_listing{.place = &source}, place_listing{.place = &target}} {
    pool_.on_exhausted([this] { engine_.flush(); });
}

awaitable<result<unsigned>> replication::choose_digits() {
    // A few names need a few small shards.
    if (options_.only) co_return limits::shard_digits_max;
    co_return co_await estimate_digits(listings_);
}

awaitable<void> replication::run(shard_set skip) {
    shards_total_ = skip.capacity();
    shards_done_ = skip.size();
    std::vector<awaitable<void>> members;
    members.push_back(produce(skip));
    for (unsigned i = 0; i < options_.jobs; ++i) members.push_back(work());
    static_cast<void>(co_await when_all(std::move(members)));
    // What is still queued, or waits for its second chance.
    while (auto block = queue_->try_pop()) finish(std::move(*block), {.end = outcome::cancelled});
    for (auto& block : std::exchange(again_, {})) finish(std::move(block), {.end = outcome::cancelled});
}

void replication::stop() {
    stopping_ = true;
    queue_->close();
    const std::lock_guard lock(mutex_);
    idle_.notify_one();
}

void replication::give_up(error why) {
    if (!fatal_) fatal_ = std::move(why);
    stop();
}

awaitable<void> replication::produce(const shard_set& skip) {
    unsigned digits = 0;
    while (shard_count(digits) < skip.capacity()) ++digits;
    for (std::size_t shard = 0; shard < skip.capacity() && !stopping_; ++shard) {
        if (!skip.contains(shard)) co_await plan_shard(shard, digits, false);
    }
    for (const std::size_t shard : std::exchange(incomplete_, {})) {
        if (stopping_)
            incomplete_.push_back(shard);
        else
            co_await plan_shard(shard, digits, true);
    }
    // Blocks that failed get another chance when all others have had theirs.
    if (co_await wait_for_idle()) {
        second_round_ = true;
        for (auto& block : std::exchange(again_, {})) {
            ++unfinished_;
            planned_block copy = block;
            if (const auto pushed = co_await queue_->push(std::move(block), deadline::never()); !pushed) {
                finish(std::move(copy), {.end = outcome::cancelled});
            }
        }
        static_cast<void>(co_await wait_for_idle());
    }
    queue_->close();
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
    if (!options_.only) return true;
    const auto first = md5_digest::parse(std::string(prefix) + std::string(32 - prefix.size(), '0'));
    const auto found = std::ranges::lower_bound(*options_.only, first.value());
    return found != options_.only->end() && found->hex().starts_with(prefix);
}

awaitable<void> replication::plan_shard(std::size_t shard, unsigned digits, bool last_try) {
    std::string prefix = shard_prefix(digits, shard);
    auto work = std::make_shared<shard_work>(shard_work{.shard = shard});
    if (!shard_wanted(prefix)) {
        work->planned = true;
        finish_shard(work);
        co_return;
    }
    prefix = narrowed(std::move(prefix), options_.prefix).value();
    if (auto listed = co_await list_places(listings_, prefix); !listed) {
        incomplete_.push_back(shard);
        if (listed.error() == errc::cancelled || stopping_) co_return;
        if (is_final(listed.error())) {
            give_up(std::move(listed.error()));
        } else if (last_try) {
            observer_.warn(fmt::format("blocks {}... could not be listed: {}", prefix, listed.error().text));
        }
        co_return;
    }
    std::span<const entry> from(listings_[0].entries);
    std::span<const entry> to(listings_[1].entries);
    source_has_entries_ = source_has_entries_ || !from.empty();
    counts_.too_large += listings_[0].notes.too_large;
    while (!from.empty() && !stopping_) {
        const auto here = first_block(from);
        while (!to.empty() && to.front().block < here.front().block) to = to.subspan(1);
        const bool both = !to.empty() && to.front().block == here.front().block;
        if (!co_await planned(here, both ? first_block(to) : std::span<const entry>(), work)) co_return;
        from = from.subspan(here.size());
    }
    if (!from.empty()) co_return;
    work->planned = true;
    finish_shard(work);
}

bool replication::wanted(const md5_digest& name, std::span<const entry> copies) const {
    if (options_.only && !std::ranges::binary_search(*options_.only, name)) return false;
    if (!options_.since) return true;
    return std::ranges::any_of(copies, [&](const entry& e) { return e.mtime >= *options_.since; });
}

// Counts a block, and queues it if the destination lacks it. \returns false when the run is to stop.
awaitable<bool> replication::planned(std::span<const entry> from, std::span<const entry> to,
                                     std::shared_ptr<shard_work> shard) {
    if (!wanted(from.front().block, from)) co_return true;
    ++counts_.listed;
    const bool ambiguous = std::ranges::any_of(from, [&](const entry& e) { return e.size != from.front().size; });
    const auto same = [&](const entry& e) { return std::ranges::find(from, e.size, &entry::size) != from.end(); };
    const bool has_size = std::ranges::any_of(to, same);
    if (has_size && !ambiguous) {
        ++counts_.present;
        co_return true;
    }
    if (options_.dry_run) {
        ++counts_.copied;
        counts_.bytes += from.front().size;
        co_return true;
    }
    planned_block block{.block = {from.front().block, from.front().size},
                        .target_size = to.empty() ? std::nullopt : std::optional(to.front().size),
                        .sizes_differ = has_size,
                        .shard = shard};
    ++unfinished_;
    ++shard->pending;
    if (const auto pushed = co_await queue_->push(block, deadline::never()); !pushed) {
        finish(std::move(block), {.end = outcome::cancelled});
        co_return false;
    }
    co_return true;
}

awaitable<void> replication::work() {
    while (true) {
        auto block = co_await queue_->pop(deadline::never());
        if (!block) co_return;
        attempt end{.end = outcome::cancelled};
        if (!stopping_) {
            ++busy_;
            end = co_await copy_patiently(*block);
            --busy_;
        }
        if (end.end == outcome::failed && end.ends_run) give_up(end.why);
        finish(std::move(*block), std::move(end));
    }
}

void replication::finish(planned_block block, attempt end) {
    const std::unique_lock lock(mutex_);
    if (unfinished_ > 0 && --unfinished_ == 0) idle_.notify_one();
    if (end.end == outcome::failed && end.may_pass && !second_round_ && !stopping_ &&
        again_.size() < limits::failures_kept_max) {
        again_.push_back(std::move(block));
        return;
    }
    const auto shard = std::move(block.shard);
    const auto report = [&](std::string_view kind) {
        shard->failed = true;
        observer_.failed({.block = block.block.name,
                          .size = block.block.size,
                          .outcome = std::string(kind),
                          .reason = end.why.text});
    };
    switch (end.end) {
        case outcome::copied:
            ++(block.target_size ? counts_.replaced : counts_.copied);
            counts_.bytes += block.block.size;
            break;
        case outcome::present:
            ++counts_.present;
            break;
        case outcome::gone:
            ++counts_.gone;
            break;
        case outcome::bad_source:
            ++counts_.bad_source;
            report("bad_source");
            break;
        case outcome::failed:
            ++counts_.failed;
            report("failed");
            break;
        case outcome::cancelled:
            ++counts_.left;
            shard->failed = true;
            break;
    }
    --shard->pending;
    finish_shard(shard);
}

void replication::finish_shard(const std::shared_ptr<shard_work>& shard) {
    if (!shard->planned || shard->pending > 0 || shard->failed) return;
    ++shards_done_;
    observer_.shard_done(shard->shard);
}

}  // namespace keepstore::keepctl
