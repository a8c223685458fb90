#include "volumes/cloud/shared_download.hpp"

#include "base/limits.hpp"
#include "volumes/cloud/limits.hpp"
#include "volumes/cloud/volume_core.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <random>
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
    auto task = core_->loops.spawn<void>(run(self), [self](const result<void>& outcome) { self->ended(outcome); });
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
    // Pieces of the reserve are for reads that wait, also if there is memory again.
    const auto upto = short_of_memory ? std::numeric_limits<std::uint64_t>::max() : reserved_upto_;
    dropped = window_.drop_before(outcome || window_.is_read() ? std::min(window_.fastest(), upto) : upto);
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
    std::vector<const_slice> dropped;
    const std::lock_guard lock(mutex_);
    keeps_for_newcomers_ = false;
    if (window_.readers() == 1) dropped = window_.drop_before(window_.fastest());
}

// --- the task ---

void shared_download::wake_task() {
    if (wanted() || over_) demand_.notify_all();
}

awaitable<result<void>> shared_download::run(std::shared_ptr<shared_download> self) {
    KS_CO_TRY(const auto first, co_await self->receive_first());
    const bool paused = first == received::paused;
    co_return co_await self->continue_in_ranges(paused ? limits::cloud_resumed_range_bytes
                                                       : 2 * limits::cloud_crowded_range_bytes);
}

// The whole target, unless there are many downloads or the readers pause.
awaitable<result<shared_download::received>> shared_download::receive_first() {
    using clock = multipart_policy::clock;
    const auto began = clock::now();
    std::optional<multipart_policy::transfer> transfer;
    if (what_.is_large()) transfer.emplace(core_->download_policy.begin(began));
    KS_CO_TRY(auto from, co_await open_first(transfer));
    const auto bytes = from.body->remaining();
    {
        const std::lock_guard lock(mutex_);
        info_ = from.body->info();
        window_.set_remaining(from.partial ? info_->size - what_.offset : bytes);
        head_arrived_.notify_all();
    }
    clock::duration waited{0};
    const auto outcome = co_await receive(from, waited);
    if (transfer) {
        const auto now = clock::now();
        if (!outcome && range_is_at_fault(outcome.error())) transfer->note(outcome.error(), now);
        // It may be smaller than expected.
        if (outcome && *outcome == received::all && bytes >= limits::cloud_parallel_block_bytes_min) {
            transfer->moved({.bytes = bytes, .elapsed = now - began, .waited = waited}, now);
        }
        transfer.reset();  // Before the body: releasing its memory takes a while.
    }
    co_return outcome;
}

// The rest, beginning with this many bytes. A GET that was received without a pause is followed by one of twice its
// size.
awaitable<result<void>> shared_download::continue_in_ranges(std::uint64_t bytes) {
    while (true) {
        KS_CO_TRY(const auto range, co_await next_range(bytes));
        if (!range) co_return success();
        KS_CO_TRY(auto from, co_await open_range(*range));
        multipart_policy::clock::duration waited{0};
        KS_CO_TRY(const auto outcome, co_await receive(from, waited));
        bytes = outcome == received::paused ? limits::cloud_resumed_range_bytes : 2 * bytes;
    }
}

// Waits until the readers have little left. nullopt: everything was received.
awaitable<result<std::optional<protocol::byte_range>>> shared_download::next_range(std::uint64_t bytes) {
    std::unique_lock lock(mutex_);
    if (window_.remaining() == 0) co_return std::nullopt;
    while (!over_ && !window_.wanted(limits::cloud_resume_ahead_bytes))
        KS_CO_CHECK(co_await demand_.wait(lock, deadline::never()));
    if (over_) co_return fail(errc::cancelled);
    co_return protocol::byte_range{window_.next(), std::min(bytes, window_.remaining())};
}

// Takes a turn and sends the first GET. Like all of them it has no deadline, since each reader has its own.
awaitable<result<shared_download::transfer_turn>> shared_download::open_first(
    std::optional<multipart_policy::transfer>& transfer) {
    const bool in_parts = transfer && (transfer->mode() == transfer_mode::parts || core_->setup.always_parts);
    bool refused = false;
    while (true) {
        KS_CO_TRY(auto turn, co_await core_->turns.take(download_turns::claim::first, deadline::never()));
        auto what = what_;
        const bool part = !in_parts && asks_for_part();
        if (part) what.length = limits::cloud_crowded_range_bytes;
        auto body = co_await open_body(core_, what, source_, transfer);
        if (body) {
            // The object is there, so that it was the range.
            if (refused) core_->turns.never_pause();
            const auto& got = **body;
            const bool partial = part && what_.offset + got.remaining() < got.info().size;
            co_return transfer_turn{.turn = std::move(turn), .body = *std::move(body), .partial = partial};
        }
        if (part && range_is_at_fault(body.error())) {
            whole_only_ = true;
            // A range beyond the end says that the expected size was wrong.
            refused = kind_of(body.error()) != error_kind::invalid_range;
            continue;
        }
        KS_CO_CHECK(co_await wait_throttled(body.error()));
    }
}

// Of many downloads most are for slow readers, which leave what a service reads ahead (radosgw up to 16 MiB of each).
bool shared_download::asks_for_part() const {
    return !whole_only_ && !what_.length && what_.is_large() && core_->turns.are_many() && core_->turns.may_pause();
}

// The same for a further range of the object.
awaitable<result<shared_download::transfer_turn>> shared_download::open_range(protocol::byte_range range) {
    while (true) {
        KS_CO_TRY(auto turn, co_await core_->turns.take(download_turns::claim::again, deadline::never()));
        const circuit_breaker::pending_call pending(*core_->breaker);
        auto got = core_->noted(co_await source_->open_range(range));
        // Without an ETag its size is all that is known of the object.
        if (got && got->info().size != info_->size)
            co_return fail(errc::io_error, "the block was replaced while it was read");
        if (got)
            co_return transfer_turn{.turn = std::move(turn), .body = std::make_unique<block_body>(*std::move(got))};
        if (range_is_at_fault(got.error())) core_->turns.never_pause();
        KS_CO_CHECK(co_await wait_throttled(got.error()));
    }
}

// Returns the error, unless it may come from the number of our own downloads: then waits before another turn.
awaitable<result<void>> shared_download::wait_throttled(const error& why) {
    if (kind_of(why) != error_kind::slow_down || !core_->turns.are_many()) co_return std::unexpected(why);
    thread_local std::minstd_rand random{std::random_device{}()};
    const auto least = limits::cloud_download_throttled_pause.count();
    const std::chrono::milliseconds pause(
        std::uniform_int_distribution<std::chrono::milliseconds::rep>(least, 2 * least)(random));
    co_return co_await pause_for(pause);
}

awaitable<result<shared_download::received>> shared_download::receive(transfer_turn& from,
                                                                      multipart_policy::clock::duration& waited) {
    block_body& body = *from.body;
    while (body.remaining() > 0) {
        const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(body.remaining(), limits::chunk_size_bytes));
        // Of the reserve it may be less.
        KS_CO_TRY(auto memory, co_await next_memory(size, from.turn));
        if (!memory) co_return received::paused;
        const auto began = multipart_policy::clock::now();
        KS_CO_CHECK(co_await fill(body, *memory));
        waited += multipart_policy::clock::now() - began;
        std::vector<const_slice> dropped;
        const std::lock_guard lock(mutex_);
        if (over_) co_return fail(errc::cancelled);
        window_.append(memory->freeze(memory->size()));
        if (reserved_) reserved_upto_ = window_.next();
        piece_arrived_.notify_all();
        // The read that it was for has ended.
        if (reserved_ && !window_.is_read())
            dropped = window_.drop_all();
        else if (!keeps_for_newcomers_ && window_.readers() == 1)
            dropped = window_.drop_before(window_.fastest());
    }
    co_return received::all;
}

// Waits until the next piece is wanted and there is memory for it. nullopt: the turn is over before that.
awaitable<result<std::optional<mutable_slice>>> shared_download::next_memory(std::size_t size,
                                                                             const download_turns::turn& mine) {
    std::unique_lock lock(mutex_);
    while (true) {
        while (!over_ && !wanted()) {
            KS_CO_TRY(const bool kept, co_await wait_for_demand(lock, mine));
            if (!kept) co_return std::nullopt;
        }
        if (over_) co_return fail(errc::cancelled);
        lock.unlock();
        reserved_ = false;
        if (auto memory = find_memory(size)) co_return std::move(*memory);
        lock.lock();
        if (over_) co_return fail(errc::cancelled);
        // Either the look-ahead is full, or nothing can be dropped before the fastest reader advances or a read under
        // way ends; each wakes the task. Rechecked under the mutex, since that may just have happened.
        if (!window_.awaited() || window_.front_is_being_read()) {
            KS_CO_TRY(const bool kept, co_await wait_for_demand(lock, mine));
            if (!kept) co_return std::nullopt;
            continue;
        }
        if (window_.empty()) {
            const auto awaited = static_cast<std::size_t>(std::min<std::uint64_t>(size, window_.awaited_bytes()));
            lock.unlock();
            reserved_ = true;
            auto memory = co_await core_->memory->take_reserved(awaited, deadline::in(core_->turns.length()));
            if (memory) co_return std::move(*memory);
            if (memory.error() != errc::timeout) co_return std::unexpected(std::move(memory.error()));
            // Those that have it may wait for a turn.
            if (core_->turns.is_over(mine)) co_return std::nullopt;
            lock.lock();
            continue;
        }
        lock.unlock();
        co_await yield_to_loop();
        lock.lock();
    }
}

// Waits for a reader to want more, for as long as a turn. Returns false if the turn is over.
awaitable<result<bool>> shared_download::wait_for_demand(std::unique_lock<std::mutex>& lock,
                                                         const download_turns::turn& mine) {
    if (core_->turns.is_over(mine)) co_return false;
    const auto woken = co_await demand_.wait(lock, deadline::in(core_->turns.length()));
    if (!woken && woken.error() != errc::timeout) co_return std::unexpected(woken.error());
    co_return true;
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

void shared_download::ended(const result<void>& outcome) {
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
