#include "volumes/cloud/block_body.hpp"

#include "base/async_condition.hpp"
#include "volumes/cloud/limits.hpp"
#include "volumes/cloud/volume_core.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <utility>

namespace keepstore::volumes::cloud {

/// One ranged GET, shared by its task and the reader.
struct block_body::lane {
    lane(std::uint64_t from, std::uint64_t size_of_object, mutable_slice into)
        : offset(from), object_size(size_of_object), memory(std::move(into)) {}

    const std::uint64_t offset;
    const std::uint64_t object_size;
    const mutable_slice memory;  ///< As large as the range.
    std::shared_ptr<loop_task> task;
    std::size_t read = 0;  // The reader's, as is `task`.

    std::mutex mutex;
    // Guarded by mutex.
    std::size_t received = 0;
    std::optional<error> failed;
    async_condition changed{mutex};
};

block_body::block_body(protocol::object_download all)
    : first_(std::move(all)), position_(first_.offset()), planned_(position_ + first_.length()), end_(planned_) {}

block_body::block_body(std::shared_ptr<volume_core> core, std::shared_ptr<object_source> source,
                       protocol::object_download first, std::uint64_t end, part_buffers::share buffers)
    : core_(std::move(core)),
      source_(std::move(source)),
      first_(std::move(first)),
      position_(first_.offset()),
      planned_(position_ + first_.length()),
      end_(end),
      buffers_(std::move(buffers)),
      buffer_due_(true) {
    start_lanes();
}

block_body::~block_body() {
    for (const auto& l : lanes_) l->task->cancel();
}

void block_body::start_lanes() {
    while (planned_ < end_) {
        const auto size =
            static_cast<std::size_t>(std::min<std::uint64_t>(end_ - planned_, limits::cloud_parallel_range_bytes));
        mutable_slice memory;
        // Limits the cost of readers that disconnect early.
        const bool at_first =
            position_ < first_.offset() + limits::cloud_parallel_ranges_read_first * limits::cloud_parallel_range_bytes;
        if (at_first && lanes_.size() == limits::cloud_parallel_ranges_at_first) return;
        if (!spare_.empty()) {
            memory = std::move(spare_.back());
            spare_.pop_back();
        } else if (std::exchange(buffer_due_, false) || buffers_->take()) {
            memory = make_heap_slice(limits::cloud_parallel_range_bytes);
        } else {
            return;
        }
        auto next = std::make_shared<lane>(planned_, info().size, memory.subslice(0, size));
        planned_ += size;
        next->task = core_->loops.spawn<void>(run_lane(core_, next, source_), [next](const result<void>& outcome) {
            const std::lock_guard lock(next->mutex);
            if (!outcome) next->failed = outcome.error();
            next->changed.notify_all();
        });
        lanes_.push_back(std::move(next));
    }
}

awaitable<result<void>> block_body::run_lane(std::shared_ptr<volume_core> core, std::shared_ptr<lane> l,
                                             std::shared_ptr<object_source> source) {
    const circuit_breaker::pending_call pending(*core->breaker);
    const auto size = l->memory.size();
    // Failures are noted by the reader that meets them: ranges that fail together are one.
    KS_CO_TRY(auto body, co_await source->open_range({l->offset, size}));
    core->breaker->note(success());
    // Without an ETag its size is all that is known of the object.
    if (body.info().size != l->object_size) co_return fail(errc::io_error, "the block was replaced while it was read");
    for (std::size_t got = 0; got < size;) {
        KS_CO_TRY(auto count, co_await body.read_some(l->memory.bytes.subspan(got)));
        if (count == 0) co_return fail(errc::io_error, core->says("sent less than it announced"));
        got += count;
        core->breaker->note_progress();
        const std::lock_guard lock(l->mutex);
        l->received = got;
        l->changed.notify_all();
    }
    co_return success();
}

awaitable<result<std::size_t>> block_body::read_some(std::span<std::byte> into) {
    if (first_.remaining() == 0 && !lanes_.empty()) co_return co_await read_lane(into);
    auto count = co_await first_.read_some(into);
    if (count) position_ += *count;
    co_return count;
}

awaitable<result<std::size_t>> block_body::read_lane(std::span<std::byte> into) {
    const auto front = lanes_.front();
    std::size_t there = 0;
    {
        std::unique_lock lock(front->mutex);
        while (front->received == front->read && !front->failed) {
            KS_CO_CHECK(co_await front->changed.wait(lock, deadline::never()));
        }
        there = front->received - front->read;
        if (there == 0) co_return std::unexpected(*front->failed);
    }
    const auto count = std::min(there, into.size());
    std::memcpy(into.data(), front->memory.bytes.data() + front->read, count);
    front->read += count;
    position_ += count;
    if (front->read == front->memory.size()) {
        lanes_.pop_front();
        // When no further range is needed the memory is free at once, also for the next block of this reader.
        if (planned_ == end_)
            buffers_->give_back();
        else if (!buffers_->give())
            spare_.push_back(front->memory);
        start_lanes();
    }
    co_return count;
}

}  // namespace keepstore::volumes::cloud
