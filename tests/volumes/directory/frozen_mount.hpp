/// A file system that hangs on demand. Needs root; mounted() tells.
#pragma once

#include "base/unique_fd.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/volumes/directory/directory_fixture.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>

namespace keepstore::test {

/// An ext4 file system of its own in a file, which can be frozen: calls that write to it then hang until it is thawed.
class frozen_mount {
  public:
    frozen_mount() : dir_(in_memory()) {
        const std::string image = (dir_.path() / "image").string();
        std::filesystem::create_directory(point());
        if (::geteuid() != 0) return;
        // The symbolic link "device" leads to the loop device.
        has_device_ = run(fmt::format("truncate -s 16M {0} && mkfs.ext4 -qF {0} && ln -s $(losetup -f --show {0}) {1}",
                                      image, device()));
        if (has_device_) static_cast<void>(mount());
    }
    ~frozen_mount() {
        thaw();
        unmount();
        if (has_device_) static_cast<void>(run("losetup -d $(readlink " + device() + ")"));
    }
    frozen_mount(const frozen_mount&) = delete;
    frozen_mount& operator=(const frozen_mount&) = delete;

    [[nodiscard]] bool mount() { return mounted_ = run(fmt::format("mount {} {}", device(), point().string())); }
    /// The file system stays while files of it are open.
    void unmount() {
        if (std::exchange(mounted_, false)) static_cast<void>(::umount2(point().c_str(), MNT_DETACH));
    }
    /// Whether the kernel has ended it, so that the device can be repaired, and mounted afresh.
    [[nodiscard]] bool released() const {
        return static_cast<bool>(unique_fd(::open(device().c_str(), O_RDONLY | O_EXCL | O_CLOEXEC)));
    }
    [[nodiscard]] std::filesystem::path point() const { return dir_.path() / "mnt"; }
    [[nodiscard]] bool mounted() const { return mounted_; }
    [[nodiscard]] bool freeze() {
        const unique_fd fd(::open(point().c_str(), O_RDONLY | O_CLOEXEC));
        frozen_ = ::ioctl(fd.get(), FIFREEZE, 0) == 0;
        return frozen_;
    }
    void thaw() {
        if (!std::exchange(frozen_, false)) return;
        const unique_fd fd(::open(point().c_str(), O_RDONLY | O_CLOEXEC));
        ::ioctl(fd.get(), FITHAW, 0);
    }

  private:
    static bool run(const std::string& command) {
        return std::system(("(" + command + ") >/dev/null 2>&1").c_str()) == 0;
    }
    [[nodiscard]] std::string device() const { return (dir_.path() / "device").string(); }

    temp_dir dir_;
    bool has_device_ = false;
    bool mounted_ = false;
    bool frozen_ = false;
};

}  // namespace keepstore::test
