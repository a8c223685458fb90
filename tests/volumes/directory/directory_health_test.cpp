/// Directory volumes that hang, fail, or are gone, and come back.

#include "tests/volumes/directory/directory_fixture.hpp"
#include "tests/volumes/directory/frozen_mount.hpp"
#include "tests/volumes/directory/scoped_mount.hpp"
#include "volumes/limits.hpp"

#include <sys/mount.h>
#include <sys/stat.h>

#include <functional>

using namespace keepstore;
using namespace keepstore::test;
using volumes::volume_state;
namespace fs = std::filesystem;

namespace {

deadline until_stall() {
    return soon().ending_at_stall();
}

bool is_gone(volumes::volume& v) {
    return eventually([&] { return v.state().reads == volume_state::gone; });
}

void check_gone(directory_fixture& f, const md5_digest& stored) {
    CHECK(is_error(get(*f.volume, stored), errc::unavailable));
    CHECK(is_error(index_names(*f.volume), errc::unavailable));
    CHECK(is_error(put(*f.volume, random_name(), random_bytes(10)), errc::unavailable));
    CHECK(is_error(put(*f.volume, random_name(), random_bytes(1 * MiB)), errc::unavailable));
    CHECK(is_error(run(f.volume->touch(stored, soon())), errc::unavailable));
    CHECK(is_error(run(f.volume->mtime(stored, soon())), errc::unavailable));
    CHECK(is_error(run(f.volume->empty_trash(1, soon())), errc::unavailable));
    CHECK(is_gone(*f.volume));
    CHECK(f.volume->state().writes == volume_state::gone);
    CHECK_FALSE(f.volume->health().empty());
}

}  // namespace

TEST_CASE("a root that was removed is gone, and is not made again", "[volumes][health][root]") {
    for (const bool sync : {true, false}) {
        directory_fixture f({.sync = sync, .free_bytes_min = 0});
        const auto name = random_name();
        REQUIRE(put(*f.volume, name, random_bytes(10)).has_value());
        const temp_dir aside;
        fs::rename(f.dir.path(), aside.path() / "away");
        REQUIRE(is_gone(*f.volume));
        check_gone(f, name);
        CHECK_FALSE(fs::exists(f.dir.path()));
        // The directory itself comes back, with its blocks.
        fs::rename(aside.path() / "away", f.dir.path());
        REQUIRE(eventually([&] { return f.volume->health().empty(); }));
        CHECK(get(*f.volume, name).has_value());
        CHECK(put(*f.volume, random_name(), random_bytes(10)).has_value());
    }
}

TEST_CASE("a root that was deleted fails every call at once, also before a probe finds out",
          "[volumes][health][root]") {
    directory_fixture f({.free_bytes_min = 0});
    const auto name = random_name();
    REQUIRE(put(*f.volume, name, random_bytes(10)).has_value());
    fs::remove_all(f.dir.path());
    check_gone(f, name);
    CHECK_FALSE(fs::exists(f.dir.path()));
}

TEST_CASE("whichever call is the first after its root was deleted fails", "[volumes][health][root]") {
    using call = std::function<bool(volumes::volume&, const md5_digest&)>;
    const auto lists = [](const std::string& prefix) {
        return [prefix](volumes::volume& v, const md5_digest&) {
            collecting_sink sink;
            return is_error(run(v.index(prefix, sink, soon())), errc::unavailable);
        };
    };
    const call calls[] = {
        lists(""),
        lists("abc"),
        [](auto& v, const auto& name) { return is_error(run(v.mtime(name, soon())), errc::unavailable); },
        [](auto& v, const auto& name) { return is_error(run(v.touch(name, soon())), errc::unavailable); },
        [](auto& v, const auto& name) { return is_error(run(v.untrash(name, soon())), errc::unavailable); },
        [](auto& v, const auto& name) {
            return is_error(run(v.trash(name, trash_at_once(), soon())), errc::unavailable);
        },
    };
    for (const call& fails : calls) {
        CAPTURE(&fails - calls);
        directory_fixture f({.free_bytes_min = 0});
        const auto name = random_name("abc");
        REQUIRE(put(*f.volume, name, random_bytes(10)).has_value());
        fs::remove_all(f.dir.path());
        CHECK(fails(*f.volume, name));
    }
}

TEST_CASE("another directory in the root's place is not used", "[volumes][health][root]") {
    directory_fixture f({.free_bytes_min = 0});
    const auto name = random_name();
    REQUIRE(put(*f.volume, name, random_bytes(10)).has_value());
    const temp_dir aside;
    fs::rename(f.dir.path(), aside.path() / "old");
    directory_fixture::write_file(f.path_of(random_name()), "hello");
    REQUIRE(is_gone(*f.volume));
    check_gone(f, name);
    CHECK(f.count_files("tmp") == 0);
}

TEST_CASE("a block whose root is moved away while it is written is not acknowledged", "[volumes][health][root]") {
    for (const std::size_t size : {std::size_t{10}, 1 * MiB}) {
        CAPTURE(size);
        directory_fixture f({.free_bytes_min = 0});
        const auto content = random_bytes(size);
        const auto name = random_name();
        auto writer = run(f.volume->create(name, size, soon())).value();
        REQUIRE(run(writer->append(copy_to_heap_slice(content), soon())).has_value());
        REQUIRE(run(writer->flush(soon())).has_value());
        const temp_dir aside;
        fs::rename(f.dir.path(), aside.path() / "away");
        REQUIRE(is_gone(*f.volume));
        CHECK(is_error(run(writer->commit(std::nullopt, soon())), errc::unavailable));
        writer.reset();
        CHECK_FALSE(fs::exists(aside.path() / "away" / name.hex().substr(0, 3) / name.hex()));
        fs::rename(aside.path() / "away", f.dir.path());
    }
}

TEST_CASE("a volume whose file system is unmounted is gone", "[volumes][health][root]") {
    const temp_dir point;
    scoped_mount mount(point.path());
    if (!mount.mounted()) {
        WARN("skipped: may not mount a file system here");
        return;
    }
    directory_fixture f({.free_bytes_min = 0}, point.path());
    const auto below = fs::relative(f.dir.path(), point.path());
    const auto name = random_name();
    REQUIRE(put(*f.volume, name, random_bytes(10)).has_value());
    mount.unmount();
    fs::create_directory(point.path() / below);  // The same path, on the file system below.
    REQUIRE(is_gone(*f.volume));
    check_gone(f, name);
    CHECK(fs::is_empty(point.path() / below));
    // A new file system of this type is another one.
    scoped_mount second(point.path());
    REQUIRE(second.mounted());
    fs::create_directory(point.path() / below);
    check_gone(f, name);
}

TEST_CASE("the free space of a volume that has no requests is measured again", "[volumes][health]") {
    const temp_dir point;
    const scoped_mount mount(point.path());
    if (!mount.mounted()) {
        WARN("skipped: may not mount a file system here");
        return;
    }
    for (const bool may_write : {true, false}) {
        directory_fixture f({.may_write = may_write, .free_bytes_min = 0}, point.path());
        const auto available = [&] { return f.volume->stats().space->available_bytes; };
        const auto before = available();
        const auto ballast = point.path() / "ballast";
        directory_fixture::write_file(ballast, std::string(1 * MiB, 'x'));
        CHECK(eventually([&] { return available() <= before - 1 * MiB; }));
        fs::remove(ballast);
        CHECK(eventually([&] { return available() >= before; }));
    }
}

TEST_CASE("a file system that is mounted again is used again, and was not kept alive meanwhile",
          "[volumes][health][root]") {
    frozen_mount disk;
    if (!disk.mounted()) {
        WARN("skipped: may not mount a file system of its own here");
        return;
    }
    directory_fixture f({.free_bytes_min = 0}, disk.point());
    const auto name = random_name();
    REQUIRE(put(*f.volume, name, random_bytes(10)).has_value());
    CHECK_FALSE(disk.released());
    disk.unmount();
    REQUIRE(is_gone(*f.volume));
    // So that it can be repaired.
    CHECK(eventually([&] { return disk.released(); }));
    REQUIRE(disk.mount());
    REQUIRE(eventually([&] { return f.volume->health().empty(); }));
    CHECK(get(*f.volume, name).has_value());
    CHECK(put(*f.volume, random_name(), random_bytes(10)).has_value());
    CHECK(index_names(*f.volume).value().size() == 2);
}

TEST_CASE("a new directory with the inode number of a deleted root is another one", "[volumes][health][root]") {
    frozen_mount disk;
    if (!disk.mounted()) {
        WARN("skipped: may not mount a file system of its own here");
        return;
    }
    directory_fixture f({.free_bytes_min = 0}, disk.point());
    const auto name = random_name();
    REQUIRE(put(*f.volume, name, random_bytes(10)).has_value());
    const auto inode = [&] {
        struct stat status{};
        return ::stat(f.dir.path().c_str(), &status) == 0 ? status.st_ino : 0;
    };
    const auto before = inode();
    fs::remove_all(f.dir.path());
    REQUIRE(is_gone(*f.volume));
    REQUIRE(eventually([&] {
        fs::remove(f.dir.path());
        fs::create_directory(f.dir.path());
        return inode() == before;  // Once the kernel has given it up.
    }));
    check_gone(f, name);
    CHECK(fs::is_empty(f.dir.path()));
}

TEST_CASE("on a hung volume calls with an alternative end soon, others wait, and all is well afterwards",
          "[volumes][health][hang]") {
    frozen_mount disk;
    if (!disk.mounted()) {
        WARN("skipped: may not mount a file system of its own here");
        return;
    }
    directory_fixture f({.free_bytes_min = 0, .threads_max = 4}, disk.point());
    const auto name = random_name();
    const auto content = random_bytes(10'000);
    REQUIRE(put(*f.volume, name, content).has_value());
    std::unique_ptr<volumes::block_writer> small = run(f.volume->create(random_name(), content.size(), soon())).value();
    REQUIRE(run(small->append(copy_to_heap_slice(content), soon())).has_value());
    std::unique_ptr<volumes::block_writer> dropped = run(f.volume->create(random_name(), 4 * MiB, soon())).value();

    REQUIRE(disk.freeze());
    CHECK(is_error(run(small->commit(std::nullopt, until_stall())), errc::unavailable));
    CHECK(f.volume->state().writes == volume_state::stalled);
    CHECK(f.volume->state().reads == volume_state::healthy);
    CHECK_FALSE(f.volume->health().empty());
    // The appended bytes can be read back, to continue elsewhere.
    const auto back = make_heap_slice(content.size());
    REQUIRE(run(small->read_back(0, back, until_stall())).value() == content.size());
    CHECK(std::ranges::equal(back.bytes, content));
    // Reads go on, and what is known to hang is not waited for.
    CHECK(get(*f.volume, name).value() == content);
    CHECK(is_error(run(f.volume->touch(name, until_stall())), errc::unavailable));
    CHECK(is_error(run(f.volume->create(random_name(), 10, until_stall())), errc::unavailable));
    // A call without an alternative waits for its deadline.
    CHECK(is_error(run(f.volume->touch(name, deadline::in(std::chrono::milliseconds(200)))), errc::timeout));
    // Destroying a writer whose job hangs blocks nothing.
    const auto large = random_bytes(300'000);
    CHECK(is_error(run(dropped->append(copy_to_heap_slice(large), until_stall())), errc::unavailable));
    CHECK(run(dropped->read_back(0, make_heap_slice(large.size()), until_stall())).value() == large.size());
    dropped.reset();
    small.reset();

    disk.thaw();
    REQUIRE(eventually([&] { return f.volume->health().empty(); }));
    CHECK(eventually([&] { return f.count_files("tmp") == 0; }));
    CHECK(put(*f.volume, random_name(), content).has_value());
    CHECK(eventually([&] { return !fs::exists(f.dir.path() / ".keepstore-probe"); }));
}

TEST_CASE("a volume that fails every call is failing until a probe works", "[volumes][health]") {
    const temp_dir point;
    scoped_mount mount(point.path());
    if (!mount.mounted()) {
        WARN("skipped: may not mount a file system here");
        return;
    }
    directory_fixture f({.free_bytes_min = 0}, point.path());
    const auto name = random_name();
    REQUIRE(put(*f.volume, name, random_bytes(10)).has_value());
    REQUIRE(::mount("tmpfs", point.path().c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr) == 0);
    for (unsigned i = 0; i < limits::volume_failures_max; ++i) {
        CHECK(is_error(put(*f.volume, random_name(), random_bytes(10)), errc::io_error));
    }
    CHECK(eventually([&] { return f.volume->state().writes == volume_state::failing; }));
    CHECK(f.volume->state().reads == volume_state::healthy);
    CHECK(get(*f.volume, name).has_value());
    CHECK(f.volume->health().find("writes fail") != std::string::npos);
    REQUIRE(::mount("tmpfs", point.path().c_str(), "tmpfs", MS_REMOUNT, nullptr) == 0);
    CHECK(eventually([&] { return f.volume->health().empty(); }));
    CHECK(put(*f.volume, random_name(), random_bytes(10)).has_value());
}

TEST_CASE("nothing is created on a volume that is not writable", "[volumes][health]") {
    directory_fixture f({.may_write = false, .free_bytes_min = 0});
    CHECK(f.volume->state() == volumes::volume_states{});
    CHECK(fs::is_empty(f.dir.path()));
}
