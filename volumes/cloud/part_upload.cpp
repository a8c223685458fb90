#include "volumes/cloud/part_upload.hpp"

#include "volumes/cloud/limits.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace keepstore::volumes::cloud {

result<std::shared_ptr<part_upload>> part_upload::make_unsized(std::shared_ptr<volume_core> core, md5_digest name) {
    if (core->unsized_uploads.fetch_add(1) >= limits::cloud_unsized_uploads_max) {
        core->unsized_uploads.fetch_sub(1);
        return fail(errc::unavailable, "too many uploads of unknown length at a time");
    }
    return std::shared_ptr<part_upload>(new part_upload(std::move(core), name, std::nullopt));
}

std::shared_ptr<part_upload> part_upload::make_parallel(std::shared_ptr<volume_core> core, md5_digest name,
                                                        std::uint64_t size) {
    auto buffers = core->upload_buffers.join();
    if (!buffers) return nullptr;
    auto made = std::shared_ptr<part_upload>(new part_upload(std::move(core), name, size));
    made->buffers_.emplace(std::move(*buffers));
    return made;
}

part_upload::part_upload(std::shared_ptr<volume_core> core, md5_digest name, std::optional<std::uint64_t> size)
    : core_(std::move(core)),
      name_(name),
      size_(size),
      session_(core_->make_session(name)),
      target_(core_->make_target(name)) {}

// --- the writer ---

awaitable<result<void>> part_upload::append(const_slice bytes, deadline until) {
    const auto self = shared_from_this();
    if (size_ && bytes.size() > *size_ - appended_) co_return fail(errc::bad_request, "more bytes than announced");
    {
        const std::lock_guard lock(mutex_);
        if (failed_) co_return std::unexpected(*failed_);
    }
    // Concurrently with the arrival of the first part.
    if (size_ && appended_ == 0) create(until);
    std::size_t taken = 0;
    while (taken < bytes.size()) {
        if (filled_ == current_.size()) {
            if (filled_ > 0) {
                KS_CO_CHECK(co_await send_current(until));
            }
            KS_CO_CHECK(co_await next_buffer(until));
        }
        const auto count = std::min(bytes.size() - taken, current_.size() - filled_);
        std::memcpy(current_.bytes.data() + filled_, bytes.bytes.data() + taken, count);
        filled_ += count;
        taken += count;
        appended_ += count;
    }
    co_return success();
}

awaitable<result<void>> part_upload::commit(protocol::name_values metadata, deadline until) {
    const auto self = shared_from_this();
    if (size_ && appended_ != *size_) co_return fail(errc::bad_request, "fewer bytes than announced");
    core_->downloads.forget(name_);
    bool whole = false;
    {
        const std::lock_guard lock(mutex_);
        whole = !creating_;
        // No more parts come: other uploads can have the memory at once.
        all_there_ = buffers_.has_value();
        if (all_there_) {
            for (; !spare_.empty(); spare_.pop_back()) buffers_->give_back();
        }
    }
    if (whole) {
        std::vector<const_slice> slices;
        if (filled_ > 0) slices.push_back(current_.freeze(filled_));
        start(target_->store(std::move(slices), std::move(metadata), until));
    } else {
        KS_CO_CHECK(co_await send_current(until));
        KS_CO_CHECK(co_await wait_while([this] { return running_ > 0; }, until));
        start(session_->complete(std::move(metadata), until));
    }
    const auto done = co_await wait_while([this] { return running_ > 0; }, until);
    core_->downloads.forget(name_);
    co_return done;
}

result<std::size_t> part_upload::read_back(std::uint64_t offset, std::span<std::byte> into) const {
    if (appended_ > filled_) return fail(errc::unsupported, "bytes that were sent cannot be read back");
    if (offset >= filled_) return std::size_t{0};
    const auto count = std::min<std::size_t>(into.size(), filled_ - static_cast<std::size_t>(offset));
    std::memcpy(into.data(), current_.bytes.data() + offset, count);
    return count;
}

void part_upload::drop() noexcept {
    std::vector<std::shared_ptr<loop_task>> tasks;
    bool abort = false;
    current_ = {};
    {
        const std::lock_guard lock(mutex_);
        dropped_ = true;
        tasks = std::move(tasks_);
        tasks_.clear();
        abort = release_if_over();
    }
    for (const auto& task : tasks) task->cancel();
    if (abort) start_abort();
}

awaitable<result<void>> part_upload::wait_while(std::function<bool()> holds, deadline until) {
    std::unique_lock lock(mutex_);
    while (true) {
        if (failed_) co_return std::unexpected(*failed_);
        if (!holds()) co_return success();
        KS_CO_CHECK(co_await task_ended_.wait(lock, until));
    }
}

void part_upload::create(deadline until) {
    {
        const std::lock_guard lock(mutex_);
        if (std::exchange(creating_, true)) return;
    }
    start(session_->create(until.within(limits::cloud_call_timeout)));
}

awaitable<result<void>> part_upload::send_current(deadline until) {
    create(until);
    KS_CO_CHECK(co_await wait_while([this] { return !session_->exists(); }, until));
    start(run_part(shared_from_this(), session_->add_part(), std::exchange(current_, {}), std::exchange(filled_, 0),
                   until));
    co_return success();
}

awaitable<result<void>> part_upload::next_buffer(deadline until) {
    bool fresh = appended_ == 0;  // The first one came with the upload.
    const auto none = [this, &fresh] {
        if (fresh) return false;
        if (auto spare = take_spare()) {
            current_ = std::move(*spare);
            return false;
        }
        fresh = buffers_ && buffers_->take();
        return !fresh;
    };
    KS_CO_CHECK(co_await wait_while(none, until));
    if (fresh) current_ = make_heap_slice(limits::cloud_part_bytes);
    co_return success();
}

std::optional<mutable_slice> part_upload::take_spare() {
    if (spare_.empty()) return std::nullopt;
    auto out = std::move(spare_.back());
    spare_.pop_back();
    return out;
}

// --- tasks ---

void part_upload::start(awaitable<result<void>> task) {
    {
        const std::lock_guard lock(mutex_);
        ++running_;
    }
    const auto self = shared_from_this();
    auto started =
        core_->loops.spawn<void>(std::move(task), [self](const result<void>& outcome) { self->ended(outcome); });
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(started));
}

void part_upload::ended(const result<void>& outcome) {
    bool abort = false;
    {
        const std::lock_guard lock(mutex_);
        --running_;
        if (!outcome && !failed_) failed_ = outcome.error();
        task_ended_.notify_all();
        abort = release_if_over();
    }
    if (abort) start_abort();
}

bool part_upload::release_if_over() {
    if (running_ > 0 || !(dropped_ || failed_)) return false;
    spare_.clear();
    buffers_.reset();
    if (!dropped_) return false;
    if (!size_ && !std::exchange(uncounted_, true)) core_->unsized_uploads.fetch_sub(1);
    return session_->exists();
}

awaitable<result<void>> part_upload::run_part(std::shared_ptr<part_upload> self, std::size_t index,
                                              mutable_slice buffer, std::size_t size, deadline until) {
    KS_CO_CHECK(co_await self->session_->send(index, buffer.freeze(size), until));
    const std::lock_guard lock(self->mutex_);
    if (self->all_there_)
        self->buffers_->give_back();
    else if (!self->buffers_ || !self->buffers_->give())
        self->spare_.push_back(std::move(buffer));
    co_return success();
}

void part_upload::start_abort() {
    static_cast<void>(core_->loops.spawn<void>(session_->abort(), [session = session_](const result<void>&) {}));
}

}  // namespace keepstore::volumes::cloud
