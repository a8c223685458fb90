#include "volumes/directory/write_state.hpp"

#include <cerrno>

namespace keepstore::volumes::directory {

result<void> write_state::push(const_slice bytes) {
    const std::lock_guard lock(mutex_);
    if (failed_) return std::unexpected(*failed_);
    if (committed_) return fail(errc::io_error, "append after commit");
    if (bytes.size() > 0) queue_.push(std::move(bytes));
    if (lazy_) {
        lazy_ = queue_.total_bytes() <= limits::write_at_once_bytes_max &&
                size_.value_or(0) <= limits::write_at_once_bytes_max;
    }
    return {};
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

write_state::wait_for write_state::space(std::size_t queue_bytes) {
    const std::lock_guard lock(mutex_);
    if (failed_) return {failed_, std::nullopt};
    // Without a job nobody would wake us; append then starts one and asks again.
    if (queue_.queued_bytes() <= queue_bytes || !busy_) return {};
    wake_at_ = queue_bytes;
    waiter_.emplace();
    return {std::nullopt, waiter_};
}

write_state::wait_for write_state::idle() {
    const std::lock_guard lock(mutex_);
    if (!busy_) return {failed_, std::nullopt};
    wake_at_ = 0;
    waiter_.emplace();
    return {std::nullopt, waiter_};
}

void write_state::fail_with(error why) {
    const std::lock_guard lock(mutex_);
    if (!failed_) failed_ = std::move(why);
}

std::shared_ptr<temp_file> write_state::abandon() {
    std::deque<const_slice> released;  // Destroyed after the lock is given up.
    const std::lock_guard lock(mutex_);
    abandoned_ = true;
    released = queue_.clear();
    if (busy_) return nullptr;  // The end of the job's turn does it.
    return std::exchange(file_, nullptr);
}

std::size_t write_state::read_waiting(std::uint64_t offset, std::span<std::byte> into, std::uint64_t& in_file,
                                      std::shared_ptr<temp_file>& file) const {
    const std::lock_guard lock(mutex_);
    in_file = queue_.written_bytes();
    if (offset < in_file) {
        file = file_;
        return 0;
    }
    return queue_.copy_waiting(offset, into);
}

result<void> write_state::drain(std::size_t bytes_max) {
    auto r = write_waiting(bytes_max, false);
    if (!r) record_failure(r.error());
    return r;
}

result<void> write_state::commit(const attribute& attr, deadline until) {
    auto r = write_waiting(limits::block_size_bytes_max, true);
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
    return {};
}

result<void> write_state::write_waiting(std::size_t bytes_max, bool all) {
    std::size_t done = 0;
    while (all || done < bytes_max) {
        {
            const std::lock_guard lock(mutex_);
            if (abandoned_) return fail(errc::cancelled);
            if (failed_) return std::unexpected(*failed_);
            if (queue_.total_bytes() == queue_.written_bytes()) return {};
        }
        auto file = ensure_file();
        if (!file) return std::unexpected(file.error());
        write_queue::batch batch;
        {
            const std::lock_guard lock(mutex_);
            if ((*file)->direct()) {
                bool irregular = false;
                batch = queue_.next_direct((*file)->memory_alignment(), irregular);
                // The tail of the block, or slices that do not fit together, go through the page cache.
                if (irregular || (batch.bytes == 0 && all)) (*file)->end_direct();
                if (batch.bytes == 0 && !irregular && !all) return {};
            }
            if (!(*file)->direct() && batch.bytes == 0) batch = queue_.next_buffered();
        }
        if (auto r = (*file)->write(batch.offset, batch.pieces); !r) return r;
        done += batch.bytes;
        {
            const std::lock_guard lock(mutex_);
            if (!abandoned_) queue_.finish(batch);
            if (waiter_ && wake_at_ > 0 && queue_.queued_bytes() <= wake_at_) wake(waiter_);
        }
    }
    return {};
}

result<temp_file*> write_state::ensure_file() {
    {
        const std::lock_guard lock(mutex_);
        if (file_) return file_.get();
    }
    auto made = temp_file::create(core_, name_, size_);
    if (!made) return std::unexpected(made.error());
    const std::lock_guard lock(mutex_);
    file_ = std::move(*made);
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
    // The content stays for read_back; the name goes at once. What failed is never tried again: after a failed fsync
    // the kernel counts the pages as clean, and the second would lie.
    if (file) file->unlink();
    // Descriptors that ran out were reported, once for all requests.
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
        // A turn that ended without the job having run: the volume does not get round to it.
        if (!on_volume_thread && !failed_) failed_ = error(errc::timeout, "volume does not respond");
        if (abandoned_ || committed_) remove = std::exchange(file_, nullptr);
        if (waiter_) wake(waiter_);
    }
    if (remove && !on_volume_thread) core_->defer([f = std::move(remove)]() mutable { f.reset(); });
}

void write_state::wake(std::optional<signal>& who) {
    // Completion is posted to the waiter's executor, so this is safe under the lock.
    auto s = std::move(*who);
    who.reset();
    static_cast<void>(s.set(std::monostate{}));
}

}  // namespace keepstore::volumes::directory
