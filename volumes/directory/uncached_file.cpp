#include "volumes/directory/uncached_file.hpp"

#include "base/units.hpp"
#include "volumes/directory/limits.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

namespace keepstore::volumes::directory {
namespace {

// Size of the aligned buffer for small blocks and for the ends of others.
constexpr std::size_t bounce_bytes = limits::direct_read_bytes_max;
// Size of a read through the page cache: small, so that dropping it drops few pages that other readers had cached.
constexpr std::size_t cached_step_bytes = 64 * KiB;

std::byte* bounce_buffer() {
    struct release {
        void operator()(std::byte* p) const noexcept { std::free(p); }
    };
    thread_local const std::unique_ptr<std::byte, release> buffer(
        static_cast<std::byte*>(std::aligned_alloc(direct_read_unit, bounce_bytes)));
    return buffer.get();
}

ssize_t pread_fully_interrupted(int fd, std::byte* into, std::size_t size, std::uint64_t offset) noexcept {
    while (true) {
        const auto n = ::pread(fd, into, size, static_cast<off_t>(offset));
        if (n >= 0 || errno != EINTR) return n;
    }
}

// How many bytes from an offset are all in the page cache, or all not.
struct page_run {
    bool cached;
    std::size_t bytes;
};

// By mincore, not by a read with RWF_NOWAIT: that starts to read missing pages, and with a fast disk they have come
// before the kernel checks, so that they count as cached.
page_run cached_run(int fd, std::uint64_t offset, std::size_t size) noexcept {
    static const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const auto before = static_cast<std::size_t>(offset % page);
    const std::size_t length = before + size;
    void* const mapped = ::mmap(nullptr, length, PROT_READ, MAP_SHARED, fd, static_cast<off_t>(offset - before));
    if (mapped == MAP_FAILED) return {.cached = true, .bytes = size};
    std::array<unsigned char, cached_step_bytes / direct_read_unit + 1> flags{};
    const bool known = ::mincore(mapped, length, flags.data()) == 0;
    ::munmap(mapped, length);
    if (!known) return {.cached = true, .bytes = size};
    const auto is_cached = [&](std::size_t number) { return (flags[number] & 1) != 0; };
    std::size_t alike = 1;
    while (alike * page < length && is_cached(alike) == is_cached(0)) ++alike;
    return {.cached = is_cached(0), .bytes = std::min(size, alike * page - before)};
}

}  // namespace

bool uncached_file::direct_is_possible() noexcept {
    if (core_->options.direct == direct_io::off || bounce_buffer() == nullptr) return false;
    struct statx s{};
    if (::statx(file_->get(), "", AT_EMPTY_PATH, STATX_DIOALIGN, &s) != 0) return true;  // Unknown: the read will show.
    if ((s.stx_mask & STATX_DIOALIGN) == 0) return true;
    if (s.stx_dio_offset_align == 0 || s.stx_dio_offset_align > direct_read_unit ||
        s.stx_dio_mem_align > direct_read_unit)
        return false;
    memory_alignment_ = s.stx_dio_mem_align;
    return true;
}

void uncached_file::open_own() noexcept {
    constexpr int flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC;
    const std::string self = "/proc/self/fd/" + std::to_string(file_->get());
    const bool direct = direct_is_possible();
    if (direct) own_ = unique_fd(::open(self.c_str(), flags | O_DIRECT));
    refused_ = !own_;
    if (!own_) own_ = unique_fd(::open(self.c_str(), flags));
    // No read-ahead: it would cache pages that nothing drops.
    if (own_) ::posix_fadvise(own_.get(), 0, 0, POSIX_FADV_RANDOM);
}

result<std::size_t> uncached_file::read(std::uint64_t offset, std::span<std::byte> into) {
    std::call_once(once_, [this] { open_own(); });
    std::size_t done = 0;
    while (done < into.size()) {
        const auto rest = into.subspan(done);
        ssize_t n = -1;
        if (direct()) {
            n = read_direct(offset + done, rest);
            if (n < 0 && (errno == EINVAL || errno == EOPNOTSUPP)) {  // O_DIRECT was accepted, but the read is not.
                refused_ = true;
                ::fcntl(own_.get(), F_SETFL, O_NONBLOCK);
                continue;
            }
        } else {
            n = read_cached(offset + done, rest);
        }
        if (n < 0) return std::unexpected(core_->stats.failed(errno, "read"));
        if (n == 0) break;
        done += static_cast<std::size_t>(n);
        blocking_pool::note_progress();
    }
    if (done > 0) core_->health.call_worked(traffic::reads);
    core_->stats.read(done);
    return done;
}

ssize_t uncached_file::read_direct(std::uint64_t offset, std::span<std::byte> into) noexcept {
    const bool fits = offset % direct_read_unit == 0 && into.size() >= direct_read_unit &&
                      reinterpret_cast<std::uintptr_t>(into.data()) % memory_alignment_ == 0;
    // A small block that does not end at a page boundary: one read into the buffer instead of two.
    const bool small = into.size() < bounce_bytes && into.size() % direct_read_unit != 0;
    if (fits && !small) {
        return pread_fully_interrupted(own_.get(), into.data(), into.size() / direct_read_unit * direct_read_unit,
                                       offset);
    }
    const auto before = static_cast<std::size_t>(offset % direct_read_unit);
    const std::size_t wanted = std::min(into.size(), bounce_bytes - before);
    const std::size_t rounded = (before + wanted + direct_read_unit - 1) / direct_read_unit * direct_read_unit;
    std::byte* const buffer = bounce_buffer();
    const auto n = pread_fully_interrupted(own_.get(), buffer, rounded, offset - before);
    if (n < 0) return n;
    const auto got = static_cast<std::size_t>(n);
    if (got <= before) return 0;
    const std::size_t count = std::min(got - before, wanted);
    std::memcpy(into.data(), buffer + before, count);
    return static_cast<ssize_t>(count);
}

ssize_t uncached_file::read_cached(std::uint64_t offset, std::span<std::byte> into) noexcept {
    const int fd = own_ ? own_.get() : file_->get();
    const auto [cached, size] = cached_run(fd, offset, std::min(into.size(), cached_step_bytes));
    bool absent = !cached;
    if (cached) {
        // mincore reports all pages as cached to a process that may not write the file.
        iovec piece{into.data(), size};
        const auto there = ::preadv2(fd, &piece, 1, static_cast<off_t>(offset), RWF_NOWAIT);
        if (there > 0) return there;
        absent = there < 0 && errno == EAGAIN;
    }
    const auto n = pread_fully_interrupted(fd, into.data(), size, offset);
    if (n > 0 && absent) {
        // Rounded to whole pages, or those at the ends would stay.
        const std::uint64_t begin = offset / direct_read_unit * direct_read_unit;
        const std::uint64_t end =
            (offset + static_cast<std::uint64_t>(n) + direct_read_unit - 1) / direct_read_unit * direct_read_unit;
        ::posix_fadvise(fd, static_cast<off_t>(begin), static_cast<off_t>(end - begin), POSIX_FADV_DONTNEED);
    }
    return n;
}

}  // namespace keepstore::volumes::directory
