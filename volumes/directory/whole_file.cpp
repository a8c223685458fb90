#include "volumes/directory/whole_file.hpp"

#include "volumes/directory/directory_reader.hpp"
#include "volumes/directory/uncached_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <optional>

namespace keepstore::volumes::directory {
namespace {

// Returns whether `into` is aligned for direct reads; true if the file system does not say, since the read will show.
bool suits(const struct statx& status, std::span<const std::byte> into) noexcept {
    if ((status.stx_mask & STATX_DIOALIGN) == 0) return true;
    return status.stx_dio_offset_align != 0 && status.stx_dio_offset_align <= direct_read_unit &&
           status.stx_dio_mem_align != 0 &&
           reinterpret_cast<std::uintptr_t>(into.data()) % status.stx_dio_mem_align == 0;
}

// nullopt if direct I/O is not possible, or the file cannot be read: the buffered way then returns the error.
std::optional<result<std::uint64_t>> read_direct(directory_core& core, const md5_digest& name,
                                                 std::span<std::byte> into) {
    KS_TRY(const auto opened, open_block_file(core, name, O_DIRECT));
    const unique_fd file(opened);
    if (!file) return std::nullopt;
    struct statx status{};
    core.stats.tick(op::stat);
    if (::statx(file.get(), "", AT_EMPTY_PATH, STATX_TYPE | STATX_SIZE | STATX_DIOALIGN, &status) != 0)
        return std::nullopt;
    if (!S_ISREG(status.stx_mode)) return std::nullopt;
    if (status.stx_size > into.size()) return status.stx_size;
    const std::size_t rounded =
        (static_cast<std::size_t>(status.stx_size) + direct_read_unit - 1) / direct_read_unit * direct_read_unit;
    if (rounded > into.size() || !suits(status, into)) return std::nullopt;
    std::size_t done = 0;
    while (done < status.stx_size) {
        const auto n = ::pread(file.get(), into.data() + done, rounded - done, static_cast<off_t>(done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EINVAL || errno == EOPNOTSUPP)) return std::nullopt;
        if (n < 0) return std::unexpected(core.stats.failed(errno, "read"));
        if (n == 0) break;
        done += static_cast<std::size_t>(n);
        if (done % direct_read_unit != 0) break;  // The end of the file.
    }
    if (done > 0) core.health.call_worked(traffic::reads);
    blocking_pool::note_progress();
    core.stats.read(done);
    return done;
}

}  // namespace

result<std::uint64_t> read_whole_file(const std::shared_ptr<directory_core>& core, const md5_digest& name,
                                      std::span<std::byte> into) {
    if (core->options.direct != direct_io::off) {
        if (auto read = read_direct(*core, name, into)) return *std::move(read);
    }
    KS_TRY(auto opened, open_block(*core, name));
    if (opened.size > into.size()) return opened.size;
    uncached_file file(core, std::move(opened.fd));
    return file.read(0, into.first(static_cast<std::size_t>(opened.size)));
}

}  // namespace keepstore::volumes::directory
