#include "volumes/cloud/upload.hpp"

#include "volumes/limits.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace keepstore::volumes::cloud {
upload::upload(std::shared_ptr<volume_core> core, md5_digest name, std::uint64_t size)
    : core_(std::move(core)),
      name_(name),
      target_(core_->make_target(name)),
      size_(size),
      at_once_(size <= limits::write_at_once_bytes_max),
      counted_(core_->queued) {}

awaitable<result<void>> upload::append(const_slice bytes, deadline until) {
    const auto self = shared_from_this();
    bool starting = false;
    {
        const std::lock_guard lock(mutex_);
        if (failed_) co_return std::unexpected(*failed_);
        if (bytes.size() > size_ - appended_) co_return fail(errc::bad_request, "more bytes than announced");
        if (bytes.size() > 0) {
            appended_ += bytes.size();
            pieces_.push_back(std::move(bytes));
            counted_.set(static_cast<std::size_t>(unsent()));
            starting = claim_start();
            arrived_.notify_all();
        }
    }
    if (starting) start(until);
    std::unique_lock lock(mutex_);
    // The last piece waits for commit and not for room.
    while (!failed_ && started_ && appended_ < size_ && unsent() > counted_.allowed(queue_bytes_)) {
        KS_CO_CHECK(co_await room_.wait(lock, until));
    }
    if (failed_) co_return std::unexpected(*failed_);
    co_return success();
}

void upload::set_queue_bytes(std::size_t bytes) noexcept {
    const std::lock_guard lock(mutex_);
    queue_bytes_ = bytes;
}

awaitable<result<void>> upload::commit(protocol::name_values metadata, deadline until) {
    const auto self = shared_from_this();
    bool starting = false;
    {
        const std::lock_guard lock(mutex_);
        if (failed_) co_return std::unexpected(*failed_);
        if (appended_ != size_) co_return fail(errc::bad_request, "fewer bytes than announced");
        metadata_ = std::move(metadata);
        committed_ = true;
        starting = claim_start();
        arrived_.notify_all();
    }
    if (starting) start(until);
    co_return co_await finished_.wait(until);
}

bool upload::claim_start() {
    if (started_ || (at_once_ && !committed_)) return false;
    return started_ = true;
}

void upload::start(deadline until) {
    const auto self = shared_from_this();
    auto task =
        core_->loops.spawn<void>(run(self, until), [self](const result<void>& outcome) { self->ended(outcome); });
    const std::lock_guard lock(mutex_);
    task_ = std::move(task);
}

result<std::size_t> upload::read_back(std::uint64_t offset, std::span<std::byte> into) const {
    const std::lock_guard lock(mutex_);
    if (offset < sent_) return fail(errc::unsupported, "bytes that were sent cannot be read back");
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
    std::unique_lock lock(mutex_);
    while (true) {
        if (dropped_) co_return fail(errc::cancelled);
        if (handed_) {
            // Asking for the next piece, the client is done with this one.
            handed_ = false;
            sent_ += pieces_.front().size();
            pieces_.pop_front();
            counted_.set(static_cast<std::size_t>(unsent()));
            core_->breaker->note_progress();
            room_.notify_all();
        }
        if (sent_ == size_) co_return const_slice();
        if (!pieces_.empty() && (committed_ || sent_ + pieces_.front().size() < size_)) {
            handed_ = true;
            co_return pieces_.front();
        }
        KS_CO_CHECK(co_await arrived_.wait(lock, deadline::never()));
    }
}

bool upload::rewind() {
    const std::lock_guard lock(mutex_);
    if (sent_ > 0 || dropped_) return false;
    handed_ = false;
    return true;
}

awaitable<result<void>> upload::run(std::shared_ptr<upload> self, deadline until) {
    KS_CO_CHECK(co_await self->send_block(until));
    self->core_->downloads.forget(self->name_);
    co_return success();
}

protocol::name_values upload::take_metadata() {
    const std::lock_guard lock(mutex_);
    return std::exchange(metadata_, {});
}

awaitable<result<void>> upload::send_block(deadline until) {
    if (at_once_) {
        std::vector<const_slice> slices;
        {
            const std::lock_guard lock(mutex_);
            slices.assign(pieces_.begin(), pieces_.end());
        }
        co_return co_await target_->store(std::move(slices), take_metadata(), until);
    }
    KS_CO_CHECK(co_await target_->store_stream(*this, until));
    {
        const std::lock_guard lock(mutex_);
        // The kernel has the last piece, or it was being sent when the response came.
        const bool whole = sent_ == size_ || (handed_ && pieces_.size() == 1 && appended_ == size_);
        if (!whole || !committed_)
            co_return fail(errc::io_error, core_->says("responded before it had the whole block"));
    }
    core_->downloads.forget(name_);
    co_return co_await target_->publish(take_metadata(), until);
}

void upload::ended(const result<void>& outcome) {
    {
        const std::lock_guard lock(mutex_);
        if (!outcome) failed_ = outcome.error();
        room_.notify_all();
        // A stored block is not read back.
        if (outcome) pieces_.clear();
        if (outcome) counted_.set(0);
    }
    finished_.set(outcome);
}

}  // namespace keepstore::volumes::cloud
