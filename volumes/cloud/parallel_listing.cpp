#include "volumes/cloud/parallel_listing.hpp"

#include "volumes/cloud/limits.hpp"
#include "volumes/cloud/volume_core.hpp"

#include <algorithm>
#include <utility>

namespace keepstore::volumes::cloud {

void parallel_listing::start() {
    if (!core_->setup.parallel_index || digits_.size() == 32) {
        ranges_.push_back(digits_);
        spawn(work(shared_from_this()));
        return;
    }
    spawn(survey(shared_from_this()));
}

void parallel_listing::spawn(awaitable<result<void>> task) {
    {
        const std::lock_guard lock(mutex_);
        ++running_;
    }
    const auto self = shared_from_this();
    auto spawned =
        core_->loops.spawn<void>(std::move(task), [self](const result<void>& outcome) { self->ended(outcome); });
    bool late = false;
    {
        const std::lock_guard lock(mutex_);
        tasks_.push_back(spawned);
        late = stopped_;
    }
    if (late) spawned->cancel();
}

void parallel_listing::stop() {
    std::vector<std::shared_ptr<loop_task>> tasks;
    {
        const std::lock_guard lock(mutex_);
        stopped_ = true;
        ranges_.clear();
        tasks = tasks_;
    }
    queue_.close();
    for (const auto& task : tasks) task->cancel();
}

void parallel_listing::ended(const result<void>& outcome) {
    bool over = false;
    {
        const std::lock_guard lock(mutex_);
        --running_;
        if (!outcome && !failed_) failed_ = outcome.error();
        over = running_ == 0 || failed_;
    }
    if (over) queue_.close();
}

awaitable<result<std::vector<block_info>>> parallel_listing::next() {
    const auto self = shared_from_this();
    {
        const std::lock_guard lock(mutex_);
        if (failed_) co_return std::unexpected(*failed_);
    }
    auto batch = co_await queue_.pop(until_);
    if (batch) co_return batch;
    co_return outcome(std::move(batch.error()));
}

// There was nothing to pop: since the listing has ended, or the reader was cancelled or ran out of time.
result<std::vector<block_info>> parallel_listing::outcome(error why) {
    const std::lock_guard lock(mutex_);
    if (failed_) return std::unexpected(*failed_);
    const bool complete = running_ == 0 && !stopped_ && queue_.size() == 0;
    if (complete && why == errc::cancelled) return std::vector<block_info>();
    return std::unexpected(std::move(why));
}

awaitable<result<void>> parallel_listing::put(std::vector<block_info> batch) {
    if (batch.empty()) co_return success();
    co_return co_await queue_.push(std::move(batch), deadline::never());
}

// Decides by the first page whether to list in parallel.
awaitable<result<void>> parallel_listing::survey(std::shared_ptr<parallel_listing> self) {
    KS_CO_TRY(const bool many, co_await self->core_->needs_pages(self->digits_, self->until_));
    {
        const std::lock_guard lock(self->mutex_);
        if (many) {
            for (const char digit : std::string_view("0123456789abcdef"))
                self->ranges_.push_back(self->digits_ + digit);
        } else {
            self->ranges_.push_back(self->digits_);
        }
    }
    const unsigned workers = many ? limits::cloud_index_workers : 1;
    for (unsigned i = 1; i < workers; ++i) self->spawn(work(self));
    co_return co_await work(self);
}

awaitable<result<void>> parallel_listing::work(std::shared_ptr<parallel_listing> self) {
    while (true) {
        std::string digits;
        {
            const std::lock_guard lock(self->mutex_);
            if (self->ranges_.empty() || self->failed_) co_return success();
            digits = std::move(self->ranges_.front());
            self->ranges_.pop_front();
        }
        KS_CO_CHECK(co_await self->core_->list_range(*self, std::move(digits)));
    }
}

}  // namespace keepstore::volumes::cloud
