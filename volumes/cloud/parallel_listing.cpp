#include "volumes/cloud/parallel_listing.hpp"

#include "volumes/cloud/limits.hpp"

#include <algorithm>
#include <utility>

namespace keepstore::volumes::s3 {

/// Iterates over one listing, key by key.
class index_scan::lister {
  public:
    lister(s3_core& core, std::string prefix, deadline until)
        : core_(core), where_{.prefix = std::move(prefix), .keys_max = core.options.index_page_size}, until_(until) {}

    /// Loads the next page if need be: makes current() valid, or null at the end of the listing.
    [[nodiscard]] awaitable<result<void>> load() {
        while (at_ == page_.objects.size() && (!begun_ || page_.truncated)) {
            if (begun_) where_.continue_after(page_);
            const circuit_breaker::pending_call pending(*core_.breaker);
            KS_CO_TRY(page_, core_.noted(co_await core_.client.list(where_, until_)));
            at_ = 0;
            begun_ = true;
        }
        co_return success();
    }
    [[nodiscard]] const protocol::listed_object* current() const noexcept {
        return at_ < page_.objects.size() ? &page_.objects[at_] : nullptr;
    }
    [[nodiscard]] bool page_is_used_up() const noexcept { return at_ == page_.objects.size(); }
    [[nodiscard]] bool more_pages() const noexcept { return page_.truncated; }
    void advance() noexcept { ++at_; }

  private:
    s3_core& core_;
    protocol::list_options where_;
    const deadline until_;
    protocol::list_page page_;
    std::size_t at_ = 0;
    bool begun_ = false;
};

index_scan::index_scan(std::shared_ptr<s3_core> core, std::string digits, deadline until, bool parallel)
    : core_(std::move(core)), digits_(std::move(digits)), until_(until), parallel_(parallel) {}

void index_scan::start() {
    if (!parallel_ || digits_.size() == 32) {
        ranges_.push_back(digits_);
        spawn(work(shared_from_this()));
        return;
    }
    spawn(survey(shared_from_this()));
}

void index_scan::spawn(awaitable<result<bool>> task) {
    {
        const std::lock_guard lock(mutex_);
        ++running_;
    }
    const auto self = shared_from_this();
    auto spawned =
        core_->loops.spawn<bool>(std::move(task), [self](const result<bool>& outcome) { self->ended(outcome); });
    bool late = false;
    {
        const std::lock_guard lock(mutex_);
        tasks_.push_back(spawned);
        late = stopped_;
    }
    if (late) spawned->cancel();
}

void index_scan::stop() {
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

void index_scan::ended(const result<bool>& outcome) {
    bool over = false;
    {
        const std::lock_guard lock(mutex_);
        --running_;
        if (!outcome && !failed_) failed_ = outcome.error();
        over = running_ == 0 || failed_;
    }
    if (over) queue_.close();
}

awaitable<result<std::vector<block_info>>> index_scan::next() {
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
result<std::vector<block_info>> index_scan::outcome(error why) {
    const std::lock_guard lock(mutex_);
    if (failed_) return std::unexpected(*failed_);
    const bool complete = running_ == 0 && !stopped_ && queue_.size() == 0;
    if (complete && why == errc::cancelled) return std::vector<block_info>();
    return std::unexpected(std::move(why));
}

awaitable<result<void>> index_scan::put(std::vector<block_info> batch) {
    if (batch.empty()) co_return success();
    co_return co_await queue_.push(std::move(batch), deadline::never());
}

// Decides by the first page whether to list in parallel.
awaitable<result<bool>> index_scan::survey(std::shared_ptr<index_scan> self) {
    lister blocks(*self->core_, self->core_->names.key_of_digits(self->digits_), self->until_);
    KS_CO_CHECK(co_await blocks.load());
    const bool many = blocks.more_pages();
    {
        const std::lock_guard lock(self->mutex_);
        if (many) {
            for (const char digit : std::string_view("0123456789abcdef"))
                self->ranges_.push_back(self->digits_ + digit);
        } else {
            self->ranges_.push_back(self->digits_);
        }
    }
    const unsigned workers = many ? limits::s3_index_workers : 1;
    for (unsigned i = 1; i < workers; ++i) self->spawn(work(self));
    co_return co_await work(self);
}

awaitable<result<bool>> index_scan::work(std::shared_ptr<index_scan> self) {
    while (true) {
        std::string digits;
        {
            const std::lock_guard lock(self->mutex_);
            if (self->ranges_.empty() || self->failed_) co_return true;
            digits = std::move(self->ranges_.front());
            self->ranges_.pop_front();
        }
        KS_CO_CHECK(co_await self->list_range(std::move(digits)));
    }
}

awaitable<result<void>> index_scan::list_range(std::string digits) {
    const auto prefix = core_->names.key_of_digits(digits);
    lister blocks(*core_, prefix, until_);
    lister markers(*core_, std::string(object_names::recent_folder) + prefix, until_);
    std::vector<block_info> batch;
    while (true) {
        KS_CO_CHECK(co_await blocks.load());
        const auto* const block = blocks.current();
        // Markers and trash come after all blocks: "recent/", "trash/" > "f...".
        if (!block || block->key >= "g") break;
        const auto name = core_->names.parse(block->key);
        if (!name) {
            blocks.advance();
            continue;
        }
        auto modified = core_->observed(block->key, block->last_modified);
        while (true) {
            KS_CO_CHECK(co_await markers.load());
            const auto* const marker = markers.current();
            if (!marker) break;
            const auto marked = std::string_view(marker->key).substr(object_names::recent_folder.size());
            if (marked > block->key) break;
            if (marked == block->key) modified = core_->observed(marker->key, marker->last_modified);
            markers.advance();
        }
        batch.push_back({*name, block->size, block_time(modified)});
        blocks.advance();
        if (blocks.page_is_used_up()) {
            KS_CO_CHECK(co_await put(std::exchange(batch, {})));
        }
    }
    co_return co_await put(std::move(batch));
}

}  // namespace keepstore::volumes::s3
