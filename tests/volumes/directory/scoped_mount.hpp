/// A mount of a test's own, undone at the end. Needs root; mounted() tells.
#pragma once

#include <sys/mount.h>

#include <filesystem>
#include <string>
#include <utility>

namespace keepstore::test {

class scoped_mount {
  public:
    /// The arguments of mount(2).
    struct filesystem {
        std::string type = "tmpfs";
        std::string source = "tmpfs";
        std::string data = "size=8m";
    };

    explicit scoped_mount(std::filesystem::path where) : scoped_mount(std::move(where), filesystem{}) {}
    scoped_mount(std::filesystem::path where, const filesystem& what) : where_(std::move(where)) {
        mounted_ = ::mount(what.source.c_str(), where_.c_str(), what.type.c_str(), 0, what.data.c_str()) == 0;
    }
    ~scoped_mount() { unmount(); }
    scoped_mount(const scoped_mount&) = delete;
    scoped_mount& operator=(const scoped_mount&) = delete;

    /// The file system stays while files of it are open.
    void unmount() {
        if (std::exchange(mounted_, false)) static_cast<void>(::umount2(where_.c_str(), MNT_DETACH));
    }
    [[nodiscard]] bool mounted() const { return mounted_; }

  private:
    std::filesystem::path where_;
    bool mounted_ = false;
};

}  // namespace keepstore::test
