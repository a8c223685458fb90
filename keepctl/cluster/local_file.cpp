#include "keepctl/cluster/local_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

namespace keepstore::keepctl {
namespace {

/// Bytes that replacement_file gathers.
constexpr std::size_t write_bytes = 64 * 1024;

}  // namespace

std::unexpected<error> file_error(std::string_view what, const std::string& path) {
    error out = error_from_errno(errno, what);
    out.text = fmt::format("{}: {}", path, out.text);
    return std::unexpected(std::move(out));
}

result<void> write_all(int fd, std::span<const std::byte> bytes, const std::string& path) {
    while (!bytes.empty()) {
        const ssize_t n = ::write(fd, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return file_error("write", path);
        bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    return success();
}

result<void> sync_folder(const std::string& folder) {
    const unique_fd fd(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd || ::fsync(fd.get()) != 0) return file_error("sync", folder);
    return success();
}

result<replacement_file> replacement_file::open(std::string path, unsigned mode) {
    std::string temp = fmt::format("{}.{}.tmp", path, ::getpid());
    unique_fd fd(::open(temp.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
    if (!fd) return file_error("open", temp);
    replacement_file out(std::move(path), std::move(temp), std::move(fd));
    // Whatever the umask: another user may have to read it, or must not.
    if (::fchmod(out.fd_.get(), mode) != 0) return file_error("chmod", out.temp_);
    return out;
}

replacement_file::~replacement_file() {
    if (fd_) ::unlink(temp_.c_str());
}

result<void> replacement_file::flush() {
    const std::string all = std::exchange(waiting_, {});
    return write_all(fd_.get(), std::as_bytes(std::span(all)), temp_);
}

result<void> replacement_file::write(std::string_view bytes) {
    waiting_ += bytes;
    return waiting_.size() < write_bytes ? success() : flush();
}

result<void> replacement_file::write_at(std::size_t offset, std::string_view bytes) {
    KS_CHECK(flush());
    if (::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset)) !=
        static_cast<ssize_t>(bytes.size()))
        return file_error("write", temp_);
    return success();
}

result<void> replacement_file::commit() {
    KS_CHECK(flush());
    if (::fsync(fd_.get()) != 0) return file_error("sync", temp_);
    if (::rename(temp_.c_str(), path_.c_str()) != 0) return file_error("rename", path_);
    fd_.reset();
    return sync_folder(std::filesystem::path(path_).parent_path().string());
}

result<void> replace_file(const std::string& path, std::string_view text, unsigned mode) {
    KS_TRY(auto file, replacement_file::open(path, mode));
    KS_CHECK(file.write(text));
    return file.commit();
}

result<std::string> read_file(const std::string& path, std::size_t limit) {
    const unique_fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return file_error("open", path);
    std::string out(limit + 1, '\0');
    std::size_t have = 0;
    while (have < out.size()) {
        const ssize_t n = ::read(fd.get(), out.data() + have, out.size() - have);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return file_error("read", path);
        if (n == 0) break;
        have += static_cast<std::size_t>(n);
    }
    if (have > limit) return fail(errc::too_large, fmt::format("{}: has more than {} bytes", path, limit));
    out.resize(have);
    return out;
}

result<void> make_folder(const std::string& path) {
    const std::filesystem::path all(path);
    std::filesystem::path part;
    for (const auto& name : all) {
        part /= name;
        if (::mkdir(part.c_str(), 0700) == 0 || errno == EEXIST) continue;
        // EROFS, EACCES of a folder that exists.
        struct stat info{};
        const int why = errno;
        if (::stat(part.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) continue;
        errno = why;
        return file_error("mkdir", part.string());
    }
    return success();
}

result<unique_fd> lock_file(const std::string& path) {
    unique_fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd) return file_error("open", path);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) return fail(errc::unavailable, path + ": is locked by another process");
        return file_error("lock", path);
    }
    return fd;
}

}  // namespace keepstore::keepctl
