#include "volumes/directory/write_state.hpp"

#include "base/limits.hpp"
#include "volumes/limits.hpp"

#include <algorithm>
#include <cerrno>

namespace keepstore::volumes::directory {

result<void> write_state::push(const_slice bytes) {
    const std::lock_guard lock(mutex_);
    if (failed_) return std::unexpected(*failed_);
    if (committed_) return fail(errc::io_error, "append after commit");
    if (bytes.size() > 0) queue_.push(std::move(bytes));
    counted_.set(queue_.queued_bytes());
    if (lazy_) {
        // A whole chunk of a body of unknown size is written: its request waits for a chunk for the rest, if there is
        // one.
        const std::uint64_t most = size_ ? limits::write_at_once_bytes_max : limits::write_at_once_bytes_max - 1;
        lazy_ = queue_.total_bytes() <= most && size_.value_or(0) <= most;
    }
    return success();
}

bool write_state::lazy() const {
    const std::lock_guard lock(mutex_);
    return lazy_;
}

bool write_state::claim_drain() {
    const std::lock_guard lock(mutex_);
    if (busy_ || failed_ || lazy_ || queue_.queued_bytes() == 0) return false;
    busy_ = true;
    return true;
}

bool write_state::claim() {
    const std::lock_guard lock(mutex_);
    if (busy_) return false;
    busy_ = true;
    return true;
}

result<write_state::wait_ticket> write_state::space(std::size_t queue_bytes) {
    const std::lock_guard lock(mutex_);
    if (failed_) return std::unexpected(*failed_);
    const std::size_t most = counted_.allowed(queue_bytes);
    // Without a job there would be no wake-up; append starts one and calls again.
    if (queue_.queued_bytes() <= most || !busy_) return std::nullopt;
    wake_at_ = most;
    return changed_.enlist();
}

result<write_state::wait_ticket> write_state::idle() {
    const std::lock_guard lock(mutex_);
    if (busy_ && !given_up_) {
        wake_at_ = 0;
        return changed_.enlist();
    }
    if (failed_) return std::unexpected(*failed_);
    return std::nullopt;
}

awaitable<result<void>> write_state::wait(async_condition::ticket ticket, deadline until) {
    return changed_.wait(std::move(ticket), until, "volume does not respond");
}

void write_state::give_up(error why) {
    const std::lock_guard lock(mutex_);
    given_up_ = true;
    if (!failed_) failed_ = std::move(why);
    changed_.notify_all();
}

std::shared_ptr<temp_file> write_state::abandon() {
    std::deque<const_slice> released;  // Destroyed after the lock is given up.
    const std::lock_guard lock(mutex_);
    abandoned_ = true;
    released = queue_.clear();
    counted_.set(0);
    if (busy_) return nullptr;  // end_turn removes it.
    return std::exchange(file_, nullptr);
}

std::size_t write_state::read_queued(std::uint64_t offset, std::span<std::byte> into, std::uint64_t& in_file,
                                     std::shared_ptr<temp_file>& file) const {
    const std::lock_guard lock(mutex_);
    in_file = queue_.written_bytes();
    if (offset < in_file) {
        file = file_;
        return 0;
    }
    return queue_.copy_queued(offset, into);
}

result<void> write_state::drain(std::size_t bytes_max) {
    auto r = write_queued(bytes_max, false);
    if (!r) record_failure(r.error());
    return r;
}

result<void> write_state::commit(const attribute& attr, deadline until) {
    auto r = core_->root.ensure();
    if (r) r = write_queued(limits::block_size_bytes_max, true);
    if (r) {
        auto file = ensure_file();  // An empty block has none yet.
        if (!file) {
            r = std::unexpected(file.error());
        } else {
            std::uint64_t size = 0;
            {
                const std::lock_guard lock(mutex_);
                size = queue_.total_bytes();
            }
            r = (*file)->publish(size, attr, until, [this] { return abandoned(); });
        }
    }
    if (!r) {
        record_failure(r.error());
        return r;
    }
    const std::lock_guard lock(mutex_);
    committed_ = true;
    return success();
}

result<void> write_state::write_queued(std::size_t bytes_max, bool all) {
    std::size_t done = 0;
    while (all || done < bytes_max) {
        {
            const std::lock_guard lock(mutex_);
            if (abandoned_) return fail(errc::cancelled);
            if (failed_) return std::unexpected(*failed_);
            if (queue_.total_bytes() == queue_.written_bytes()) return success();
        }
        KS_TRY(temp_file* const file, ensure_file());
        write_queue::batch batch;
        {
            const std::lock_guard lock(mutex_);
            if (file->direct()) {
                bool irregular = false;
                batch = queue_.next_direct(file->memory_alignment(), irregular);
                counted_.set(queue_.queued_bytes());  // Less than a page has left the queue.
                // The tail of the block, and slices that are not aligned, go through the page cache.
                if (irregular || (batch.bytes == 0 && all)) file->end_direct();
                if (batch.bytes == 0 && !irregular && !all) return success();
            }
            if (!file->direct() && batch.bytes == 0) batch = queue_.next_buffered();
        }
        KS_CHECK(file->write(batch.offset, batch.pieces));
        done += batch.bytes;
        {
            const std::lock_guard lock(mutex_);
            if (!abandoned_) queue_.finish(batch);
            counted_.set(queue_.queued_bytes());
            if (wake_at_ > 0 && queue_.queued_bytes() <= wake_at_) changed_.notify_all();
        }
    }
    return success();
}

result<temp_file*> write_state::ensure_file() {
    {
        const std::lock_guard lock(mutex_);
        if (file_) return file_.get();
    }
    KS_TRY(auto made, temp_file::create(core_, name_, size_));
    const std::lock_guard lock(mutex_);
    file_ = std::move(made);
    return file_.get();
}

void write_state::record_failure(const error& why) {
    if (why.cause.value() == ENOSPC || why.cause.value() == EDQUOT) core_->full.found_full();
    std::shared_ptr<temp_file> file;
    {
        const std::lock_guard lock(mutex_);
        if (!failed_) failed_ = why;
        file = file_;
    }
    // Removes the name; the content stays for read_back. Never tried again: after a failed fsync the kernel counts the
    // pages as clean, so that a second one would succeed although data is lost.
    if (file) file->unlink();
    // op_stats logs EMFILE and ENFILE, once for all requests.
    if (why == errc::cancelled || why.cause.value() == EMFILE || why.cause.value() == ENFILE) return;
    log::warning("write to volume failed", {{"error", why.text}});
}

bool write_state::abandoned() const {
    const std::lock_guard lock(mutex_);
    return abandoned_;
}

void write_state::end_turn(bool on_volume_thread) noexcept {
    std::shared_ptr<temp_file> remove;
    {
        const std::lock_guard lock(mutex_);
        busy_ = false;
        // The job was dropped without having run: no thread of the volume became free in time.
        if (!on_volume_thread && !failed_) failed_ = error(errc::unavailable, "volume does not respond");
        if (abandoned_ || committed_) remove = std::exchange(file_, nullptr);
        changed_.notify_all();
    }
    if (remove && !on_volume_thread) core_->defer([f = std::move(remove)]() mutable { f.reset(); });
}

}  // namespace keepstore::volumes::directory
