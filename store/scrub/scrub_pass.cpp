#include "store/scrub/scrub_pass.hpp"

#include "base/cancellable.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"
#include "base/when_all.hpp"
#include "store/limits.hpp"

#include <fmt/format.h>

#include <utility>

namespace keepstore::store {

// Queues the copies of one step.
class scrub_pass::listing final : public volumes::index_sink {
  public:
    listing(scrub_pass& pass, unsigned step) : pass_(pass), step_(step) {}

    awaitable<result<void>> put(std::span<const volumes::block_info> batch) override {
        for (const auto& block : batch) KS_CO_CHECK(co_await pass_.enqueue({block, step_}));
        co_return success();
    }

  private:
    scrub_pass& pass_;
    const unsigned step_;
};

awaitable<result<void>> scrub_pass::run() {
    steps_begun_ = tools_.record.position();
    saved_at_ = tools_.clock.now();
    std::vector<awaitable<void>> members;
    members.push_back(list());
    for (unsigned i = 0; i < limits::scrub_blocks_max; ++i) members.push_back(check_copies());
    for (unsigned i = 0; i < limits::scrub_batch_checkers; ++i) members.push_back(check_batches());
    const bool cancelled = co_await when_all(std::move(members));
    if (stopped_) co_return std::unexpected(*stopped_);
    if (cancelled) co_return fail(errc::cancelled);
    co_return success();
}

awaitable<void> scrub_pass::save(const mount& where, const scrub_record& record, deadline until) {
    if (!where.allow_write) co_return;
    const auto saved = co_await where.volume->save_metadata(checkpoint_name, record.checkpoint().encode(), until);
    if (!saved && saved.error() != errc::unsupported && saved.error() != errc::cancelled)
        log::warning("cannot save the state of the scrub: " + saved.error().text, {{"mount", where.uuid}});
}

awaitable<void> scrub_pass::list() {
    while (steps_begun_ < limits::scrub_steps && !stopped_) {
        const unsigned step = steps_begun_++;
        open_steps_[step] = 1;
        for (unsigned attempt = 1;; ++attempt) {
            const auto listed = co_await list_step(step);
            if (listed) break;
            if (stopped_ || listed.error() == errc::cancelled) co_return stop(errc::cancelled);
            if (attempt == limits::scrub_attempts_max)
                co_return stop(error(listed.error().code, "cannot be listed: " + listed.error().text));
            if (const bool slept = co_await scrubber_.back_off(attempt); !slept) co_return stop(errc::cancelled);
        }
        finish_one(step);
        // An empty volume never waits for anything; this lets requests on the same loop run.
        co_await yield_to_loop();
        if (const bool cancelled = co_await is_cancelled(); cancelled) co_return stop(errc::cancelled);
    }
    if (!filling_.copies.empty()) {
        const auto queued = co_await batches_.push(std::exchange(filling_, {}), deadline::never());
        if (!queued) co_return stop(errc::cancelled);
    }
    copies_.close();
    batches_.close();
}

awaitable<result<void>> scrub_pass::list_step(unsigned step) {
    listing blocks(*this, step);
    co_return co_await where_.volume->index(fmt::format("{:03x}", step), blocks, deadline::never());
}

awaitable<result<void>> scrub_pass::enqueue(listed_copy added) {
    if (stopped_) co_return fail(errc::cancelled);
    const auto size = added.block.size;
    const bool small = where_.volume->can_read_whole() && size <= limits::block_size_bytes_max && !has_waypoints(size);
    if (small) co_return co_await enqueue_small(std::move(added));
    ++open_steps_[added.step];
    co_return co_await copies_.push(std::move(added), deadline::never());
}

awaitable<result<void>> scrub_pass::enqueue_small(listed_copy added) {
    if (!filling_.copies.add(added.block)) {
        KS_CO_CHECK(co_await batches_.push(std::exchange(filling_, {}), deadline::never()));
        static_cast<void>(filling_.copies.add(added.block));
    }
    filling_.steps.push_back(added.step);
    ++open_steps_[added.step];
    co_return success();
}

awaitable<void> scrub_pass::check_copies() {
    while (true) {
        const auto work = co_await copies_.pop(deadline::never());
        if (!work || stopped_) co_return;
        if (auto scrubbed = co_await scrubber_.scrub(work->block); !scrubbed)
            co_return stop(std::move(scrubbed.error()));
        finish_one(work->step);
        co_await save_if_due();
    }
}

awaitable<void> scrub_pass::check_batches() {
    while (true) {
        const auto work = co_await batches_.pop(deadline::never());
        if (!work || stopped_) co_return;
        if (auto checked = co_await check_batch(*work); !checked) co_return stop(std::move(checked.error()));
        co_await save_if_due();
    }
}

awaitable<result<void>> scrub_pass::check_batch(const listed_batch& work) {
    const auto copies = work.copies.copies();
    KS_CO_TRY(const auto good, co_await scrubber_.scrub_batch(work.copies));
    for (std::size_t i = 0; i < copies.size(); ++i) {
        if (good[i]) finish_one(work.steps[i]);
    }
    for (std::size_t i = 0; i < copies.size(); ++i) {
        if (good[i]) continue;
        if (stopped_) co_return fail(errc::cancelled);
        KS_CO_CHECK(co_await scrubber_.scrub(copies[i]));
        finish_one(work.steps[i]);
    }
    co_return success();
}

awaitable<void> scrub_pass::save_if_due() {
    const auto now = tools_.clock.now();
    if (saving_ || now - saved_at_ < limits::scrub_save_interval) co_return;
    saving_ = true;
    co_await save(where_, tools_.record, deadline::never());
    saving_ = false;
    saved_at_ = tools_.clock.now();
}

void scrub_pass::finish_one(unsigned step) {
    const auto at = open_steps_.find(step);
    if (--at->second > 0) return;
    open_steps_.erase(at);
    tools_.record.reached(open_steps_.empty() ? steps_begun_ : open_steps_.begin()->first);
}

void scrub_pass::stop(error why) {
    // Keeps the first real error: errc::cancelled is only its consequence.
    if (!stopped_ || (*stopped_ == errc::cancelled && why != errc::cancelled)) stopped_ = std::move(why);
    copies_.close();
    batches_.close();
}

}  // namespace keepstore::store
