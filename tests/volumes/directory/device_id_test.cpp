#include "volumes/directory/device_id.hpp"

#include "tests/support/temp_dir.hpp"

#include <catch2/catch.hpp>

#include <unistd.h>

#include <array>

namespace keepstore::volumes::directory {

TEST_CASE("the mount of a path is the deepest one, of several on one directory the last", "[volumes][device_id]") {
    constexpr std::string_view table =
        "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n"
        "30 27 8:1 / /mnt/keep rw shared:7 master:1 - xfs /dev/sda1 rw\n"
        "31 27 8:2 / /mnt/keep0 rw - xfs /dev/sda2 rw\n"
        "32 27 8:3 / /mnt/with\\040space rw - ext4 /dev/sdb rw\n"
        "33 27 0:44 /sub /mnt/part rw - btrfs /dev/sdc rw\n"
        "34 27 0:45 / /mnt/twice rw - tmpfs tmpfs rw\n"
        "35 34 8:4 / /mnt/twice rw - ext4 /dev/sdd rw\n"
        "garbage\n";
    const auto source = [&](std::string_view path) { return mount_of(table, path).value().source; };
    CHECK(source("/home/x") == "/dev/vda");
    CHECK(source("/mnt/keep") == "/dev/sda1");
    CHECK(source("/mnt/keep/a/b") == "/dev/sda1");
    CHECK(source("/mnt/keep0/a") == "/dev/sda2");
    CHECK(source("/mnt/keepx") == "/dev/vda");
    CHECK(source("/mnt/with space/a") == "/dev/sdb");
    CHECK(source("/mnt/twice/a") == "/dev/sdd");
    CHECK(mount_of(table, "/mnt/part/a").value().fs_root == "/sub");
    CHECK_FALSE(mount_of("", "/a"));
}

TEST_CASE("the device id is host name and path where the device has no uuid", "[volumes][device_id]") {
    const test::temp_dir dir("/dev/shm");  // tmpfs: its source is not a path.
    std::array<char, 256> host{};
    ::gethostname(host.data(), host.size() - 1);
    CHECK(find_device_id(dir.path().string()) == std::string(host.data()) + ":" + dir.path().string());
}

}  // namespace keepstore::volumes::directory
