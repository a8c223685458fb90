#include "volumes/s3/upload.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace keepstore::volumes::s3 {
namespace {

void wake(const std::optional<one_shot<bool>>& one) {
    if (one) one->set(true);
}

}  // namespace

upload::upload(std::shared_ptr<s3_core> core, md5_digest name, std::uint64_t size)
    : core_(std::move(core)), name_(name), size_(size), at_once_(size <= limits::write_at_once_bytes_max) {}

awaitable<result<void>> upload::append(const_slice bytes, deadline until) {
    const auto self = shared_from_this();
    if (bytes.size() == 0) co_return result<void>();
    bool added = false;
    while (true) {
        std::optional<one_shot<bool>> source;
        one_shot<bool> room;
        bool wait = false;
        bool starting = false;
        {
            const std::lock_guard lock(mutex_);
            if (failed_) co_return std::unexpected(*failed_);
            if (!added) {
                if (bytes.size() > size_ - appended_) co_return fail(errc::bad_request, "more bytes than announced");
                pieces_.push_back(bytes);
                appended_ += bytes.size();
                added = true;
                starting = claim_start();
                source = std::exchange(source_waits_, std::nullopt);
            }
            // The last piece waits for commit and not for room.
            wait = started_ && appended_ < size_ && unsent() > queue_bytes_;
            if (wait) writer_waits_ = room;
        }
        if (starting) start(until);
        wake(source);
        if (!wait) co_return result<void>();
        auto woken = co_await wait_until(room, until);
        if (!woken) co_return std::unexpected(std::move(woken.error()));
    }
}

void upload::set_queue_bytes(std::size_t bytes) noexcept {
    const std::lock_guard lock(mutex_);
    queue_bytes_ = bytes;
}

awaitable<result<void>> upload::commit(protocol::name_values metadata, deadline until) {
    const auto self = shared_from_this();
    std::optional<one_shot<bool>> source;
    bool starting = false;
    {
        const std::lock_guard lock(mutex_);
        if (failed_) co_return std::unexpected(*failed_);
        if (appended_ != size_) co_return fail(errc::bad_request, "fewer bytes than announced");
        metadata_ = std::move(metadata);
        committed_ = true;
        starting = claim_start();
        source = std::exchange(source_waits_, std::nullopt);
    }
    if (starting) start(until);
    wake(source);
    auto done = co_await wait_until(finished_, until);
    if (!done) co_return std::unexpected(std::move(done.error()));
    co_return result<void>();
}

bool upload::claim_start() {
    if (started_ || (at_once_ && !committed_)) return false;
    return started_ = true;
}

void upload::start(deadline until) {
    const auto self = shared_from_this();
    auto task =
        core_->loops.spawn<bool>(run(self, until), [self](const result<bool>& outcome) { self->ended(outcome); });
    const std::lock_guard lock(mutex_);
    task_ = std::move(task);
}

result<std::size_t> upload::read_back(std::uint64_t offset, std::span<std::byte> into) const {
    const std::lock_guard lock(mutex_);
    if (offset < sent_) return fail(errc::unsupported, "what S3 has taken cannot be read back");
    std::uint64_t at = sent_;
    std::size_t copied = 0;
    for (const auto& piece : pieces_) {
        if (copied == into.size()) break;
        const auto end = at + piece.size();
        const auto wanted = offset + copied;
        if (wanted < end) {
            const auto skip = static_cast<std::size_t>(wanted - at);
            const auto count = std::min(piece.size() - skip, into.size() - copied);
            std::memcpy(into.data() + copied, piece.bytes.data() + skip, count);
            copied += count;
        }
        at = end;
    }
    return copied;
}

void upload::drop() noexcept {
    std::shared_ptr<loop_task> task;
    {
        const std::lock_guard lock(mutex_);
        dropped_ = true;
        task = task_;
    }
    if (task) task->cancel();
}

awaitable<result<const_slice>> upload::next() {
    while (true) {
        one_shot<bool> wake_up;
        std::optional<one_shot<bool>> writer;
        const_slice given;
        bool have = false;
        {
            const std::lock_guard lock(mutex_);
            if (dropped_) co_return fail(errc::cancelled);
            if (handed_) {
                // The client is done with it.
                handed_ = false;
                sent_ += pieces_.front().size();
                pieces_.pop_front();
                core_->watch->progress();
                if (unsent() <= queue_bytes_) writer = std::exchange(writer_waits_, std::nullopt);
            }
            if (sent_ == size_) {
                have = true;
            } else if (!pieces_.empty() && (committed_ || sent_ + pieces_.front().size() < size_)) {
                given = pieces_.front();
                handed_ = have = true;
            } else {
                source_waits_ = wake_up;
            }
        }
        wake(writer);
        if (have) co_return given;
        auto woken = co_await wake_up.wait();
        if (!woken) co_return std::unexpected(std::move(woken.error()));
    }
}

bool upload::rewind() {
    const std::lock_guard lock(mutex_);
    if (sent_ > 0 || dropped_) return false;
    handed_ = false;
    return true;
}

awaitable<result<bool>> upload::run(std::shared_ptr<upload> self, deadline until) {
    auto stored = co_await self->send_block(until);
    if (!stored) co_return std::unexpected(std::move(stored.error()));
    // The marker last: a marker without its block would look like a block that was lost.
    self->core_->fetches.forget(self->name_);
    protocol::name_values metadata;
    {
        const std::lock_guard lock(self->mutex_);
        metadata = std::exchange(self->metadata_, {});
    }
    auto marked = co_await self->core_->mark_recent(self->name_, metadata, until);
    if (!marked) co_return std::unexpected(std::move(marked.error()));
    const auto& core = *self->core_;
    if (self->at_once_ && !core.options.any_content && core.conditional == conditional_put::unknown) {
        auto learned = co_await self->core_->learn_conditional_put(self->name_, std::move(metadata), until);
        if (!learned) co_return std::unexpected(std::move(learned.error()));
    }
    co_return true;
}

awaitable<result<void>> upload::send_block(deadline until) {
    if (at_once_) {
        std::vector<const_slice> slices;
        {
            const std::lock_guard lock(mutex_);
            slices.assign(pieces_.begin(), pieces_.end());
        }
        if (core_->compares(size_)) co_return co_await core_->put_block_or_compare(name_, std::move(slices), until);
        co_return co_await core_->put_block(name_, {.slices = std::move(slices)}, false, until);
    }
    auto stored = co_await core_->put_block(name_, {.slices = {}, .source = this}, false, until);
    if (!stored) co_return stored;
    const std::lock_guard lock(mutex_);
    // The last piece is with the kernel, or being sent when the answer came.
    const bool whole = sent_ == size_ || (handed_ && pieces_.size() == 1 && appended_ == size_);
    if (!whole || !committed_) co_return fail(errc::io_error, "S3 answered before it had the whole block");
    co_return result<void>();
}

void upload::ended(const result<bool>& outcome) {
    std::optional<one_shot<bool>> writer;
    {
        const std::lock_guard lock(mutex_);
        if (!outcome) failed_ = outcome.error();
        writer = std::exchange(writer_waits_, std::nullopt);
        // Nobody reads back what is stored.
        if (outcome) pieces_.clear();
    }
    wake(writer);
    finished_.set(outcome);
}

}  // namespace keepstore::volumes::s3
