/// A Directory volume in a folder of its own, on a chosen file system.
#pragma once

#include "tests/contract/volume_harness.hpp"
#include "tests/support/temp_dir.hpp"
#include "volumes/directory/directory_volume.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>

namespace keepstore::test {

/// $TMPDIR, usually on a disk; and tmpfs, which lacks some features.
/// As the names of trashed blocks have it.
inline std::int64_t seconds_from_now(int offset) {
    return std::chrono::floor<std::chrono::seconds>(now()).time_since_epoch().count() + offset;
}

inline std::filesystem::path on_disk() {
    return std::filesystem::temp_directory_path();
}
inline std::filesystem::path in_memory() {
    return "/dev/shm";
}

class directory_fixture {
  public:
    explicit directory_fixture(volumes::directory_options o = {}, const std::filesystem::path& parent = on_disk())
        : dir(parent), options(std::move(o)) {
        options.root = dir.path().string();
        open();
    }

    void open() {
        volume.reset();
        auto opened = volumes::open_directory_volume(options);
        if (!opened) throw std::runtime_error(opened.error().text);
        volume = std::move(*opened);
    }

    [[nodiscard]] std::filesystem::path path_of(const md5_digest& name) const {
        return dir.path() / name.hex().substr(0, 3) / name.hex();
    }

    void set_mtime(const md5_digest& name, volumes::block_time t) const {
        const auto ns = t.time_since_epoch().count();
        const struct timespec stamp{ns / 1'000'000'000, ns % 1'000'000'000};
        const struct timespec times[2] = {stamp, stamp};
        if (::utimensat(AT_FDCWD, path_of(name).c_str(), times, 0) != 0) throw std::runtime_error("utimensat");
    }

    /// Files below the root whose name begins with `prefix`.
    [[nodiscard]] std::size_t count_files(const std::string& prefix) const {
        std::size_t n = 0;
        for (const auto& e : std::filesystem::recursive_directory_iterator(dir.path())) {
            n += e.path().filename().string().starts_with(prefix) ? 1U : 0U;
        }
        return n;
    }

    static void write_file(const std::filesystem::path& path, std::string_view content = "x") {
        std::filesystem::create_directories(path.parent_path());
        std::ofstream(path) << content;
    }

    temp_dir dir;
    volumes::directory_options options;
    std::unique_ptr<volumes::volume> volume;
};

/// Waits for an effect of a background thread of the volume. \returns whether the condition became true in time.
template <class Condition>
bool eventually(Condition condition) {
    const auto until = deadline::in(std::chrono::seconds(40));
    while (!condition()) {
        if (until.passed()) return false;
        std::this_thread::yield();
    }
    return true;
}

}  // namespace keepstore::test
