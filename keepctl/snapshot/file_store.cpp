#include "base/blocking_pool.hpp"
#include "base/hex.hpp"
#include "base/sha256.hpp"
#include "base/unique_fd.hpp"
#include "keepctl/cluster/local_file.hpp"
#include "keepctl/snapshot/limits.hpp"
#include "keepctl/snapshot/object_store.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>

namespace keepstore::keepctl {
namespace {

/// A repository in a directory, file:///abs/dir. Files are written as temp, fsync, rename, fsync of the folder, so that
/// a crash leaves all of a file or none; swaps exclude each other by flock on the file .lock, which the kernel frees
/// when its holder dies. Calls run on threads of their own.
class file_store final : public object_store {
  public:
    explicit file_store(std::string root);

    [[nodiscard]] const std::string& name() const noexcept override { return name_; }
    [[nodiscard]] awaitable<result<void>> prove_swap(deadline until) override;
    [[nodiscard]] awaitable<result<stored_text>> read(std::string key, std::size_t limit, deadline until) override;
    [[nodiscard]] awaitable<result<void>> read_into(std::string key, std::shared_ptr<inventory_buffer> into,
                                                    deadline until) override;
    [[nodiscard]] awaitable<result<void>> write(std::string key, std::shared_ptr<const object_bytes> bytes,
                                                deadline until) override;
    [[nodiscard]] awaitable<result<swap_end>> swap(std::string key, std::string text,
                                                   std::optional<std::string> version, deadline until) override;
    [[nodiscard]] awaitable<result<std::vector<stored_object>>> list(std::string prefix, deadline until) override;
    [[nodiscard]] awaitable<result<void>> remove(std::string key, deadline until) override;
    [[nodiscard]] awaitable<result<std::chrono::sys_seconds>> now(deadline until) override;
    [[nodiscard]] awaitable<result<void>> remove_unfinished(std::chrono::sys_seconds before, deadline until) override;

  private:
    const std::string root_;
    const std::string name_;
    blocking_pool threads_;
};

namespace fs = std::filesystem;
using work = blocking_pool::work;

constexpr std::string_view lock_name = ".lock";
// Ends the names of files that are being written.
constexpr std::string_view temp_suffix = ".tmp";
constexpr std::size_t write_bytes = 1 * MiB;
// Folders that vanish while they are used: each time another process has removed one.
constexpr int vanished_attempts_max = 8;

/// Makes the folders between root and key, durably.
result<void> make_folders(const fs::path& root, const fs::path& key) {
    fs::path at = root;
    for (const auto& part : key.parent_path()) {
        const fs::path above = at;
        at /= part;
        if (::mkdir(at.c_str(), 0777) == 0) {
            KS_CHECK(sync_folder(above.string()));
        } else if (errno != EEXIST) {
            return file_error("mkdir", at.string());
        }
    }
    return success();
}

result<void> write_bytes_of(int fd, const object_bytes& bytes, const std::string& path) {
    std::vector<std::byte> piece(static_cast<std::size_t>(std::min<std::uint64_t>(write_bytes, bytes.size())));
    for (std::uint64_t offset = 0; offset < bytes.size();) {
        const auto part = std::span(piece).first(
            static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), bytes.size() - offset)));
        bytes.copy(offset, part);
        KS_CHECK(write_all(fd, part, path));
        offset += part.size();
    }
    return success();
}

/// Writes the file under a temporary name, and renames it.
result<void> write_file(const std::string& root, const std::string& key, const object_bytes& bytes) {
    const std::string path = root + '/' + key;
    const std::string temp = fmt::format("{}.{}{}", path, random_digits(), temp_suffix);
    unique_fd fd;
    for (int attempt = 0; !fd; ++attempt) {
        KS_CHECK(make_folders(root, key));
        fd = unique_fd(::open(temp.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
        // Another process may just have removed the folder with its last file.
        if (!fd && (errno != ENOENT || attempt == vanished_attempts_max)) return file_error("open", temp);
    }
    auto written = write_bytes_of(fd.get(), bytes, temp);
    if (written && ::fsync(fd.get()) != 0) written = file_error("sync", temp);
    if (written && ::rename(temp.c_str(), path.c_str()) != 0) written = file_error("rename", path);
    if (!written) {
        ::unlink(temp.c_str());
        return written;
    }
    return sync_folder(fs::path(path).parent_path().string());
}

std::string version_of(std::string_view text) {
    return to_hex(sha256(text));
}

/// Waits for the lock of the repository.
result<unique_fd> lock(const std::string& root, deadline until) {
    const std::string path = fmt::format("{}/{}", root, lock_name);
    while (true) {
        auto held = lock_file(path);
        if (held || held.error() != errc::unavailable) {
            if (!held && (held.error().cause == std::errc::function_not_supported ||
                          held.error().cause == std::errc::no_lock_available ||
                          held.error().cause == std::errc::operation_not_supported))
                return fail(errc::unsupported,
                            fmt::format("{}: this file system has no locks (flock), which a repository needs", root));
            return held;
        }
        if (until.passed()) return fail(errc::timeout, held.error().text);
        std::this_thread::sleep_for(limits::repository_lock_pause);
    }
}

/// Reads a small file into memory of its own size.
result<std::string> read_text(const std::string& path, std::size_t limit) {
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0) return file_error("stat", path);
    // A file is replaced, never changed.
    return read_file(path, std::min(limit, static_cast<std::size_t>(info.st_size)));
}

result<swap_end> swap_file(const std::string& root, const std::string& key, std::string text,
                           const std::optional<std::string>& version, deadline until) {
    KS_TRY(const auto held, lock(root, until.within(limits::repository_lock_timeout)));
    const auto found = read_text(root + '/' + key, limits::latest_bytes_max);
    if (!found && found.error() != errc::not_found) return std::unexpected(found.error());
    if (found.has_value() != version.has_value() || (found && version_of(*found) != *version)) return swap_end::lost;
    // A caller that is gone has drawn its conclusions.
    if (until.passed()) return fail(errc::timeout);
    if (auto written = write_file(root, key, text_bytes(std::move(text))); !written) {
        // The name may be the new one already, and not be durable.
        const auto now = read_text(root + '/' + key, limits::latest_bytes_max);
        if (found && now && *now == *found) return std::unexpected(std::move(written.error()));
        return swap_end::unknown;
    }
    return swap_end::done;
}

result<void> read_exactly(const std::string& path, std::span<std::byte> into) {
    const unique_fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return file_error("open", path);
    struct stat info{};
    if (::fstat(fd.get(), &info) != 0) return file_error("stat", path);
    const auto size = static_cast<std::uint64_t>(info.st_size);
    const auto wrong = [&] {
        return fail(errc::checksum_mismatch, fmt::format("it has {} bytes instead of {}", size, into.size()));
    };
    if (size != into.size()) return wrong();
    while (!into.empty()) {
        const ssize_t n = ::read(fd.get(), into.data(), into.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return file_error("read", path);
        if (n == 0) return wrong();
        into = into.subspan(static_cast<std::size_t>(n));
    }
    return success();
}

struct found_file {
    stored_object object;
    bool unfinished;
};

/// errc::not_found: a folder was removed meanwhile, and what was found is not all.
result<std::vector<found_file>> list_once(const std::string& root, const std::string& prefix) {
    std::vector<found_file> out;
    std::error_code why;
    fs::recursive_directory_iterator at(fs::path(root) / prefix, why);
    if (why == std::errc::no_such_file_or_directory) return out;
    // A folder that cannot be read is an error: nothing is concluded from what a listing lacks.
    for (const fs::recursive_directory_iterator end; !why && at != end; at.increment(why)) {
        struct stat info{};
        const std::string path = at->path().string();
        if (::lstat(path.c_str(), &info) != 0) {
            if (errno == ENOENT) continue;
            return file_error("stat", path);
        }
        if (S_ISDIR(info.st_mode)) continue;
        auto key = fs::path(path).lexically_relative(root).string();
        if (key == lock_name) continue;
        const bool unfinished = key.ends_with(temp_suffix);
        out.push_back({.object = {.key = std::move(key),
                                  .bytes = static_cast<std::uint64_t>(info.st_size),
                                  .written_at = std::chrono::sys_seconds(std::chrono::seconds(info.st_mtim.tv_sec))},
                       .unfinished = unfinished});
    }
    errno = why.value();
    if (why) return file_error("list", root);
    return out;
}

result<std::vector<found_file>> list_files(const std::string& root, const std::string& prefix) {
    for (int attempt = 0;; ++attempt) {
        auto out = list_once(root, prefix);
        if (out || out.error() != errc::not_found) return out;
        if (attempt == vanished_attempts_max) return fail(errc::unavailable, out.error().text);
    }
}

result<void> remove_file(const std::string& root, const std::string& key) {
    const fs::path path = fs::path(root) / key;
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return file_error("unlink", path.string());
    // The folder of a snapshot goes with its last file.
    if (const auto folder = path.parent_path(); folder != fs::path(root)) ::rmdir(folder.c_str());
    return success();
}

/// A process that is killed before the first file of a snapshot, or after the last one was removed, leaves its folder.
/// One that writes there at the same time makes it again (write_file).
void remove_empty_folders(const std::string& root) {
    std::error_code failed;
    for (fs::directory_iterator at(root + "/snapshots", failed); !failed && at != fs::directory_iterator();
         at.increment(failed))
        ::rmdir(at->path().c_str());
}

result<std::chrono::sys_seconds> time_of_new_file(const std::string& root) {
    const std::string key = "probe/" + random_digits();
    KS_CHECK(write_file(root, key, text_bytes("probe\n")));
    struct stat info{};
    const std::string path = root + '/' + key;
    const bool seen = ::stat(path.c_str(), &info) == 0;
    const auto failed = file_error("stat", path);  // If so; before another call sets errno.
    KS_CHECK(remove_file(root, key));
    if (!seen) return failed;
    return std::chrono::sys_seconds(std::chrono::seconds(info.st_mtim.tv_sec));
}

}  // namespace

file_store::file_store(std::string root)
    : root_(std::move(root)), name_("file://" + root_), threads_({.name = "repository", .threads_max = 4}) {}

awaitable<result<void>> file_store::prove_swap(deadline until) {
    co_return co_await threads_.run(
        [root = root_, until]() -> result<void> {
            KS_TRY(const auto held, lock(root, until.within(limits::repository_lock_timeout)));
            return success();
        },
        until, work::commit);
}

awaitable<result<stored_text>> file_store::read(std::string key, std::size_t limit, deadline until) {
    co_return co_await threads_.run(
        [path = root_ + '/' + key, limit]() -> result<stored_text> {
            KS_TRY(auto text, read_text(path, limit));
            auto version = version_of(text);
            return stored_text{.text = std::move(text), .version = std::move(version)};
        },
        until);
}

awaitable<result<void>> file_store::read_into(std::string key, std::shared_ptr<inventory_buffer> into, deadline until) {
    co_return co_await threads_.run(
        [path = root_ + '/' + key, into = std::move(into)] { return read_exactly(path, into->bytes()); }, until);
}

awaitable<result<void>> file_store::write(std::string key, std::shared_ptr<const object_bytes> bytes, deadline until) {
    // A call that runs cannot be called off: what is cancelled waits for it, so that it finds all there is to remove.
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_return co_await threads_.run(
        [root = root_, key = std::move(key), bytes = std::move(bytes)] { return write_file(root, key, *bytes); }, until,
        work::write);
}

awaitable<result<swap_end>> file_store::swap(std::string key, std::string text, std::optional<std::string> version,
                                             deadline until) {
    auto end =
        co_await threads_.run([root = root_, key = std::move(key), text = std::move(text), version = std::move(version),
                               until]() mutable { return swap_file(root, key, std::move(text), version, until); },
                              until, work::commit);
    // The call may still be running.
    if (!end && (end.error() == errc::timeout || end.error() == errc::cancelled)) co_return swap_end::unknown;
    co_return end;
}

awaitable<result<std::vector<stored_object>>> file_store::list(std::string prefix, deadline until) {
    co_return co_await threads_.run(
        [root = root_, prefix = std::move(prefix)]() -> result<std::vector<stored_object>> {
            KS_TRY(auto files, list_files(root, prefix));
            std::vector<stored_object> out;
            for (auto& f : files) {
                if (!f.unfinished) out.push_back(std::move(f.object));
            }
            return out;
        },
        until);
}

awaitable<result<void>> file_store::remove(std::string key, deadline until) {
    co_return co_await threads_.run([root = root_, key = std::move(key)] { return remove_file(root, key); }, until,
                                    work::commit);
}

awaitable<result<std::chrono::sys_seconds>> file_store::now(deadline until) {
    co_return co_await threads_.run([root = root_] { return time_of_new_file(root); }, until, work::commit);
}

awaitable<result<void>> file_store::remove_unfinished(std::chrono::sys_seconds before, deadline until) {
    co_return co_await threads_.run(
        [root = root_, before]() -> result<void> {
            KS_TRY(const auto files, list_files(root, ""));
            for (const auto& f : files) {
                if (f.unfinished && f.object.written_at < before) KS_CHECK(remove_file(root, f.object.key));
            }
            remove_empty_folders(root);
            return success();
        },
        until, work::commit);
}

std::unique_ptr<object_store> make_file_store(std::string root) {
    return std::make_unique<file_store>(std::move(root));
}

}  // namespace keepstore::keepctl
