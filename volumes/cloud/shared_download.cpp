#include "volumes/cloud/shared_download.hpp"

#include "base/limits.hpp"
#include "volumes/cloud/limits.hpp"
#include "volumes/cloud/volume_core.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <utility>
#include <vector>

namespace keepstore::volumes::cloud {

shared_download::shared_download(std::shared_ptr<volume_core> core, download_target what)
    : core_(std::move(core)), what_(std::move(what)), source_(core_->make_source(what_)), window_(what_.offset) {}

// --- readers, any thread ---

unsigned shared_download::start() {
    const auto self = shared_from_this();
    unsigned first = 0;
    {
        const std::lock_guard lock(mutex_);
        first = window_.join();
    }
    auto task = core_->loops.spawn<bool>(run(self), [self](const result<bool>& outcome) { self->ended(outcome); });
    bool left = false;
    {
        const std::lock_guard lock(mutex_);
        left = over_;
        task_ = task;
    }
    if (left) task->cancel();
    return first;
}

std::optional<unsigned> shared_download::join() {
    const std::lock_guard lock(mutex_);
    if (over_ || failed_ || !window_.holds_beginning()) return std::nullopt;
    return window_.join();
}

void shared_download::leave(unsigned reader) {
    std::shared_ptr<loop_task> task;
    std::vector<const_slice> dropped;  // Destroyed without the mutex, here and below.
    {
        const std::lock_guard lock(mutex_);
        window_.leave(reader);
        if (window_.readers() > 0) return;
        over_ = true;
        dropped = window_.drop_all();
        task = task_;
    }
    core_->downloads.remove(what_.name, this);
    if (task) task->cancel();
}

awaitable<result<protocol::object_info>> shared_download::opened(deadline until) {
    const auto self = shared_from_this();
    std::unique_lock lock(mutex_);
    while (!info_ && !failed_) KS_CO_CHECK(co_await head_arrived_.wait(lock, until));
    if (info_) co_return *info_;
    co_return std::unexpected(*failed_);
}

awaitable<result<shared_download::piece>> shared_download::read(unsigned reader, std::uint64_t offset, std::size_t want,
                                                                deadline until) {
    const auto self = shared_from_this();
    {
        const std::lock_guard lock(mutex_);
        window_.begin_read(offset, want);
    }
    auto outcome = co_await wait_for(reader, offset, want, until);
    const bool short_of_memory = core_->memory->is_spent();
    std::vector<const_slice> dropped;
    const std::lock_guard lock(mutex_);
    window_.end_read(offset, want);
    // Pieces of the reserve are for reads that wait.
    if (short_of_memory) {
        dropped = outcome || window_.is_read() ? window_.drop_before(window_.fastest()) : window_.drop_all();
    }
    // The task may wait for memory that this read kept from being dropped.
    wake_task();
    co_return outcome;
}

awaitable<result<shared_download::piece>> shared_download::wait_for(unsigned reader, std::uint64_t offset,
                                                                    std::size_t want, deadline until) {
    std::unique_lock lock(mutex_);
    while (true) {
        if (auto found = window_.look(reader, offset, want)) co_return std::move(*found);
        if (failed_) co_return std::unexpected(*failed_);
        wake_task();
        KS_CO_CHECK(co_await piece_arrived_.wait(lock, until));
    }
}

std::optional<shared_download::piece> shared_download::try_read(unsigned reader, std::uint64_t offset,
                                                                std::size_t want) {
    const std::lock_guard lock(mutex_);
    auto found = window_.look(reader, offset, want);
    wake_task();
    return found;
}

void shared_download::release_buffers(bool also_shared) {
    std::vector<const_slice> dropped;
    const std::lock_guard lock(mutex_);
    if (window_.readers() == 0 || (window_.readers() > 1 && !also_shared)) return;
    dropped = window_.drop_before(window_.slowest());
}

void shared_download::expect_single_reader() {
    const std::lock_guard lock(mutex_);
    keeps_for_newcomers_ = false;
}

// --- the task ---

void shared_download::wake_task() {
    if (wanted() || over_) demand_.notify_all();
}

awaitable<result<bool>> shared_download::run(std::shared_ptr<shared_download> self) {
    using clock = multipart_policy::clock;
    const auto began = clock::now();
    std::optional<multipart_policy::transfer> transfer;
    if (self->what_.is_large()) transfer.emplace(self->core_->download_policy.begin(began));
    KS_CO_TRY(const auto body, co_await open_body(self->core_, self->what_, self->source_, transfer));
    const auto bytes = body->remaining();
    {
        const std::lock_guard lock(self->mutex_);
        self->info_ = body->info();
        self->window_.set_remaining(bytes);
        self->head_arrived_.notify_all();
    }
    clock::duration waited{0};
    auto received = co_await self->receive(*body, waited);
    if (transfer) {
        const auto now = clock::now();
        if (!received && range_is_at_fault(received.error())) transfer->note(received.error(), now);
        // It may be smaller than expected.
        if (received && bytes >= limits::cloud_parallel_block_bytes_min) {
            transfer->moved({.bytes = bytes, .elapsed = now - began, .waited = waited}, now);
        }
        transfer.reset();  // Before the body: releasing its memory takes a while.
    }
    if (!received) co_return std::unexpected(std::move(received.error()));
    co_return true;
}

awaitable<result<void>> shared_download::receive(block_body& body, multipart_policy::clock::duration& waited) {
    while (body.remaining() > 0) {
        const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(body.remaining(), limits::chunk_size_bytes));
        // Of the reserve it may be less.
        KS_CO_TRY(auto memory, co_await next_memory(size));
        const auto began = multipart_policy::clock::now();
        KS_CO_CHECK(co_await fill(body, memory));
        waited += multipart_policy::clock::now() - began;
        std::vector<const_slice> dropped;
        const std::lock_guard lock(mutex_);
        if (over_) co_return fail(errc::cancelled);
        window_.append(memory.freeze(memory.size()));
        piece_arrived_.notify_all();
        // The read that it was for has ended.
        if (reserved_ && !window_.is_read())
            dropped = window_.drop_all();
        else if (!keeps_for_newcomers_ && window_.readers() == 1)
            dropped = window_.drop_before(window_.fastest());
    }
    co_return success();
}

// Waits until the next piece is wanted and there is memory for it.
awaitable<result<mutable_slice>> shared_download::next_memory(std::size_t size) {
    std::unique_lock lock(mutex_);
    while (true) {
        while (!over_ && !wanted()) KS_CO_CHECK(co_await demand_.wait(lock, deadline::never()));
        if (over_) co_return fail(errc::cancelled);
        lock.unlock();
        reserved_ = false;
        if (auto memory = find_memory(size)) co_return std::move(*memory);
        lock.lock();
        if (over_) co_return fail(errc::cancelled);
        // Either the look-ahead is full, or nothing can be dropped before the fastest reader advances or a read under
        // way ends; each wakes the task. Rechecked under the mutex, since that may just have happened.
        if (!window_.awaited() || window_.front_is_being_read()) {
            KS_CO_CHECK(co_await demand_.wait(lock, deadline::never()));
            continue;
        }
        if (window_.empty()) {
            const auto awaited = static_cast<std::size_t>(std::min<std::uint64_t>(size, window_.awaited_bytes()));
            lock.unlock();
            reserved_ = true;
            co_return co_await core_->memory->take_reserved(awaited, deadline::never());
        }
        lock.unlock();
        co_await yield_to_loop();
        lock.lock();
    }
}

// Sources of memory, in this order: the volume's budget; pieces kept for readers to come, of this download and then of
// others; pieces that all readers of shared downloads have had; pieces that the fastest reader here has had and slower
// ones have not. A download that still has none, and holds nothing, takes its turn at the reserve while a read waits,
// so that each one makes progress (next_memory).
std::optional<mutable_slice> shared_download::find_memory(std::size_t size) {
    auto& memory = *core_->memory;
    if (auto got = memory.try_take(size)) return got;
    release_buffers(false);
    if (auto got = memory.try_take(size)) return got;
    core_->downloads.release_buffers(this, false);
    if (auto got = memory.try_take(size)) return got;
    {
        const std::lock_guard lock(mutex_);
        if (!window_.wanted(limits::cloud_read_ahead_bytes_min)) return std::nullopt;
    }
    release_buffers(true);
    core_->downloads.release_buffers(this, true);
    if (auto got = memory.try_take(size)) return got;
    const std::lock_guard lock(mutex_);
    static_cast<void>(window_.drop_before(window_.fastest()));
    return memory.try_take(size);
}

awaitable<result<void>> shared_download::fill(block_body& body, const mutable_slice& memory) {
    const auto size = memory.size();
    const circuit_breaker::pending_call pending(*core_->breaker);
    std::size_t got = 0;
    while (got < size) {
        auto count = co_await body.read_some(memory.bytes.subspan(got));
        if (!count) co_return std::unexpected(core_->noted(std::move(count)).error());
        if (*count == 0) co_return fail(errc::io_error, core_->says("sent less than it announced"));
        got += *count;
        core_->breaker->note_progress();
    }
    co_return success();
}

void shared_download::ended(const result<bool>& outcome) {
    {
        const std::lock_guard lock(mutex_);
        if (!outcome) failed_ = outcome.error();
        head_arrived_.notify_all();
        piece_arrived_.notify_all();
    }
    // Waiting readers get the failure, and no further ones join it. A complete download can be joined while it is read.
    if (!outcome) core_->downloads.remove(what_.name, this);
}

}  // namespace keepstore::volumes::cloud
