/// Which directory at the path of a volume is the one of the start.
#include "volumes/directory/root_handle.hpp"

#include "tests/support/temp_dir.hpp"
#include "tests/volumes/directory/scoped_mount.hpp"

#include <catch2/catch.hpp>

#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <list>
#include <string>
#include <system_error>

namespace keepstore::test {
namespace {

namespace fs = std::filesystem;
using volumes::directory::root_handle;

struct stat status_of(const fs::path& path) {
    struct stat out{};
    if (::stat(path.c_str(), &out) != 0) throw std::system_error(errno, std::generic_category(), path.string());
    return out;
}

void check_gone(root_handle& root) {
    const auto checked = root.check();
    CHECK((!checked && checked.error() == errc::not_found));
    CHECK(root.gone());
    const auto ensured = root.ensure();
    CHECK((!ensured && ensured.error() == errc::unavailable));
}

void check_opened_again(root_handle& root) {
    const auto reopened = root.check();
    REQUIRE(reopened.has_value());
    CHECK(*reopened);
    CHECK_FALSE(root.gone());
    CHECK(root.ensure().has_value());
    CHECK(status_of(root.path()).st_dev == status_of("/proc/self/fd/" + std::to_string(root.fd())).st_dev);
}

/// Overlays have no id that survives a mount. Two of the same folders have roots of the same inode number.
class overlays {
  public:
    overlays() {
        fs::create_directory(point());
        fs::create_directory(dir_.path() / "upper");
        fs::create_directory(dir_.path() / "lower");
    }
    [[nodiscard]] fs::path point() const { return dir_.path() / "mnt"; }
    [[nodiscard]] scoped_mount::filesystem from(std::string source) const {
        return {.type = "overlay",
                .source = std::move(source),
                .data = "lowerdir=" + (dir_.path() / "upper").string() + ":" + (dir_.path() / "lower").string()};
    }

  private:
    temp_dir dir_;
};

}  // namespace

TEST_CASE("another file system of the same type is not the volume, although its root has the same inode number",
          "[volumes][directory][root]") {
    const temp_dir point;
    scoped_mount first(point.path());
    if (!first.mounted()) {
        WARN("skipped: may not mount a file system here");
        return;
    }
    root_handle root(point.path());
    REQUIRE(root.open().has_value());
    const auto inode = status_of(point.path()).st_ino;
    first.unmount();
    const scoped_mount second(point.path());
    REQUIRE(status_of(point.path()).st_ino == inode);
    check_gone(root);
}

TEST_CASE("without a lasting id the source of the mount tells file systems apart", "[volumes][directory][root]") {
    const overlays layers;
    scoped_mount first(layers.point(), layers.from("one"));
    if (!first.mounted()) {
        WARN("skipped: may not mount an overlay here");
        return;
    }
    root_handle root(layers.point());
    REQUIRE(root.open().has_value());
    const auto inode = status_of(layers.point()).st_ino;
    first.unmount();
    {
        const scoped_mount other(layers.point(), layers.from("other"));
        REQUIRE(status_of(layers.point()).st_ino == inode);
        check_gone(root);
    }
    const scoped_mount again(layers.point(), layers.from("one"));
    REQUIRE(status_of(layers.point()).st_ino == inode);
    check_opened_again(root);
}

TEST_CASE("a device number that another file system has got since the start is no proof",
          "[volumes][directory][root]") {
    const overlays layers;
    scoped_mount first(layers.point(), layers.from("one"));
    if (!first.mounted()) {
        WARN("skipped: may not mount an overlay here");
        return;
    }
    root_handle root(layers.point());
    REQUIRE(root.open().has_value());
    const auto device = status_of(layers.point()).st_dev;
    first.unmount();
    scoped_mount again(layers.point(), layers.from("one"));
    check_opened_again(root);  // The number of the first mount is free now.
    again.unmount();
    std::list<scoped_mount> others;  // The kernel gives the lowest free number.
    while (others.size() < 16 && (others.empty() || status_of(layers.point()).st_dev != device)) {
        others.emplace_back(layers.point(), layers.from("other"));
    }
    if (status_of(layers.point()).st_dev != device) {
        WARN("skipped: the number of the first mount is in use elsewhere");
        return;
    }
    check_gone(root);
}

}  // namespace keepstore::test
