#include "volumes/directory/directory_reader.hpp"

#include "volumes/directory/attributes.hpp"
#include "volumes/directory/uncached_file.hpp"
#include "volumes/limits.hpp"

#include <fcntl.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>

namespace keepstore::volumes::directory {
namespace {

constexpr std::size_t compare_bytes = 64 * KiB;  // Twice this fits the second-level cache.

std::optional<std::size_t> read_cached(directory_core& core, int fd, std::uint64_t offset, std::span<std::byte> into) {
    if (!core.cached_reads.load(std::memory_order_relaxed) || !core.root.inline_calls_allowed()) return std::nullopt;
    iovec piece{into.data(), into.size()};
    const auto n = ::preadv2(fd, &piece, 1, static_cast<off_t>(offset), RWF_NOWAIT);
    if (n >= 0) {
        core.stats.read(static_cast<std::uint64_t>(n));
        return static_cast<std::size_t>(n);
    }
    if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL) core.cached_reads = false;
    return std::nullopt;
}

result<bool> compare(directory_core& core, int fd, std::uint64_t offset, std::span<const std::byte> bytes) {
    thread_local std::vector<std::byte> buffer(compare_bytes);
    while (!bytes.empty()) {
        const auto part = bytes.first(std::min(bytes.size(), compare_bytes));
        KS_TRY(const auto n, core.read_fully(fd, offset, std::span(buffer).first(part.size())));
        if (n < part.size() || std::memcmp(buffer.data(), part.data(), part.size()) != 0) return false;
        offset += part.size();
        bytes = bytes.subspan(part.size());
    }
    return true;
}

class directory_reader final : public block_reader {
  public:
    directory_reader(std::shared_ptr<directory_core> core, std::shared_ptr<blocking_pool> pool, shared_fd file,
                     std::uint64_t size)
        : core_(std::move(core)), pool_(std::move(pool)), fd_(std::move(file)), size_(size) {}

    // Closing a file of a network file system or of FUSE waits for its server.
    ~directory_reader() override {
        if (core_->root.inline_calls_allowed()) return;
        auto close = [fd = std::move(fd_), uncached = std::move(uncached_)] {};
        if (!pool_->post(close, blocking_pool::work::read)) core_->defer(std::move(close));
    }

    std::uint64_t size() const noexcept override { return size_; }

    void bypass_caches() override {
        if (!uncached_) uncached_ = std::make_shared<uncached_file>(core_, fd_);
    }

    awaitable<result<std::size_t>> read_at(std::uint64_t offset, mutable_slice into, deadline until) override {
        if (uncached_) {
            auto once = [core = core_, file = uncached_, offset, into = std::move(into)] {
                core->run_deferred();
                return file->read(offset, into.bytes);
            };
            co_return co_await pool_->run(std::move(once), until);
        }
        const bool first = std::exchange(first_read_, false);
        auto call = [core = core_, fd = fd_, offset, into = std::move(into), first] {
            core->run_deferred();
            // Twice the usual read-ahead: blocks are read from end to end.
            if (first) ::posix_fadvise(fd->get(), 0, 0, POSIX_FADV_SEQUENTIAL);
            return core->read_fully(fd->get(), offset, into.bytes);
        };
        co_return co_await pool_->run(std::move(call), until);
    }

    std::optional<std::size_t> try_read_at(std::uint64_t offset, std::span<std::byte> into) override {
        if (offset >= size_) return std::size_t{0};
        if (uncached_) return std::nullopt;  // The caller wants the stored bytes, not the cached ones.
        return read_cached(*core_, fd_->get(), offset, into);
    }

    awaitable<result<bool>> equals_at(std::uint64_t offset, const_slice bytes, deadline until) override {
        if (offset + bytes.size() > size_) co_return false;
        // Cached pages first, in place.
        thread_local std::vector<std::byte> buffer(compare_bytes);
        std::size_t done = 0;
        while (done < bytes.size()) {
            const auto part = bytes.bytes.subspan(done, std::min(bytes.size() - done, compare_bytes));
            const auto n = read_cached(*core_, fd_->get(), offset + done, std::span(buffer).first(part.size()));
            if (!n || *n == 0) break;
            if (std::memcmp(buffer.data(), part.data(), *n) != 0) co_return false;
            done += *n;
        }
        if (done == bytes.size()) co_return true;
        auto call = [core = core_, fd = fd_, at = offset + done, rest = bytes.subslice(done)] {
            core->run_deferred();
            return compare(*core, fd->get(), at, rest.bytes);
        };
        co_return co_await pool_->run(std::move(call), until);
    }

    awaitable<result<std::vector<std::byte>>> read_attribute(std::string name, deadline until) override {
        auto call = [core = core_, fd = fd_, name = std::move(name)] { return load_attribute(*core, fd->get(), name); };
        co_return co_await pool_->run(std::move(call), until);
    }

    awaitable<result<void>> write_attribute(std::string name, std::vector<std::byte> value, deadline until) override {
        if (!core_->options.may_write) co_return fail(errc::unsupported, "volume is read-only");
        auto call = [core = core_, fd = fd_, name = std::move(name), value = std::move(value)] {
            return save_attribute(*core, fd->get(), name, value);
        };
        co_return co_await pool_->run(std::move(call), until, blocking_pool::work::commit);
    }

  private:
    const std::shared_ptr<directory_core> core_;
    const std::shared_ptr<blocking_pool> pool_;
    shared_fd fd_;  // Shared with other readers of the file, and with calls that may outlive this reader.
    const std::uint64_t size_;
    bool first_read_ = true;
    std::shared_ptr<uncached_file> uncached_;  // After bypass_caches().
};

result<opened_block> check_opened(directory_core& core, const md5_digest& name, int fd) {
    opened_block out;
    unique_fd file(fd);
    struct stat status{};
    core.stats.tick(op::stat);
    if (::fstat(fd, &status) != 0) return std::unexpected(core.stats.failed(op::stat, errno, "stat"));
    if (!S_ISREG(status.st_mode)) {
        core.warn_unexpected_entry();
        return fail(errc::not_found);
    }
    out.size = static_cast<std::uint64_t>(status.st_size);
    out.fd = core.readers.share(name, std::move(file), status);
    return out;
}

result<opened_block> open_failed(directory_core& core, int number) {
    if (number == ELOOP || number == ENXIO) {  // A link; a socket or device.
        core.warn_unexpected_entry();
        return fail(errc::not_found);
    }
    return std::unexpected(core.stats.failed(op::open, number, "open"));
}

// O_NONBLOCK: opening a pipe that is named like a block must not block until a writer opens it, too.
constexpr int open_flags = O_RDONLY | O_NONBLOCK;

}  // namespace

std::unique_ptr<block_reader> make_directory_reader(std::shared_ptr<directory_core> core,
                                                    std::shared_ptr<blocking_pool> pool, shared_fd file,
                                                    std::uint64_t size) {
    return std::make_unique<directory_reader>(std::move(core), std::move(pool), std::move(file), size);
}

result<int> open_block_file(directory_core& core, const md5_digest& name, int flags) {
    const block_path path(name);
    KS_CHECK(core.root.ensure());
    core.stats.tick(op::open);
    int fd = open_beneath(core.root.fd(), path.path.data(), open_flags | flags);
    if (fd < 0 && root_may_be_gone(errno)) {
        const int number = errno;
        KS_TRY(const bool reopened, core.examine_root());
        errno = number;
        if (reopened) fd = open_beneath(core.root.fd(), path.path.data(), open_flags | flags);
    }
    return fd;
}

result<opened_block> open_block(directory_core& core, const md5_digest& name) {
    KS_TRY(const int fd, open_block_file(core, name));
    if (fd < 0) return open_failed(core, errno);
    return check_opened(core, name, fd);
}

std::optional<result<opened_block>> try_open_block(directory_core& core, const md5_digest& name) {
    if (!core.root.inline_calls_allowed() || !core.root.fresh() || core.root.gone()) return std::nullopt;
    const block_path path(name);
    const int fd = open_cached(core.root.fd(), path.path.data(), open_flags);
    if (fd < 0 && (errno == EAGAIN || errno == ENOSYS || errno == ENOTDIR)) return std::nullopt;
    const int number = errno;
    core.stats.tick(op::open);
    if (fd < 0) return open_failed(core, number);
    return check_opened(core, name, fd);
}

}  // namespace keepstore::volumes::directory
