// What is durable after a touch: the file, and its name in a folder that other programs change.
#include "tests/volumes/directory/directory_fixture.hpp"
#include "tests/volumes/directory/file_calls.hpp"
#include "volumes/directory/synced_folders.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <set>

namespace keepstore::test {
namespace {

namespace fs = std::filesystem;

bool is_same(int fd, const fs::path& path) {
    struct stat opened{};
    struct stat named{};
    return ::fstat(fd, &opened) == 0 && ::stat(path.c_str(), &named) == 0 && opened.st_ino == named.st_ino;
}

// Waits until a sync of the folder is remembered.
void wait_until_settled(const fs::path& folder) {
    const unique_fd dir(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    REQUIRE(eventually([&] { return volumes::directory::synced_folders::state_of(dir.get()).has_value(); }));
}

// The names that a folder would have after a power cut: those that were there when its last sync began.
class durable_names {
  public:
    explicit durable_names(fs::path folder)
        : folder_(std::move(folder)), watch_([this](file_call call, int fd) {
              if (call == file_call::fsync) record(fd);
              return 0;
          }) {}

    [[nodiscard]] bool contain(const md5_digest& name) const { return names_.contains(name.hex()); }
    [[nodiscard]] int syncs() const noexcept { return syncs_; }

  private:
    void record(int fd) {
        if (!is_same(fd, folder_)) return;
        names_.clear();
        for (const auto& entry : fs::directory_iterator(folder_)) names_.insert(entry.path().filename().string());
        ++syncs_;
    }

    const fs::path folder_;
    std::set<std::string> names_;
    int syncs_ = 0;
    file_call_watch watch_;
};

}  // namespace

TEST_CASE("a touch syncs the file and its folder", "[volumes][sync]") {
    directory_fixture f({.free_bytes_min = 0});
    const auto name = random_name();
    directory_fixture::write_file(f.path_of(name));  // By another program, which has not synced it.
    const auto folder = f.path_of(name).parent_path();
    std::atomic<int> files = 0;
    std::atomic<int> folders = 0;
    // The root is synced by the first walk of the volume, too.
    const file_call_watch watch([&](file_call call, int fd) {
        if (call == file_call::fsync && !is_directory(fd)) ++files;
        if (call == file_call::fsync && is_same(fd, folder)) ++folders;
        return 0;
    });
    REQUIRE(run(f.volume->touch(name, soon())).has_value());
    CHECK(files == 1);
    CHECK(folders == 1);
}

// On the disk of the test, and in memory, where the time of a folder is the same for many changes.
TEST_CASE("a touch makes the name durable that another program made, and syncs an unchanged folder once",
          "[volumes][sync]") {
    const auto parent = GENERATE(on_disk(), in_memory());
    CAPTURE(parent);
    directory_fixture f({.free_bytes_min = 0}, parent);
    const auto first = random_name("0c8");
    directory_fixture::write_file(f.path_of(first));
    const auto folder = f.path_of(first).parent_path();
    durable_names durable(folder);
    const auto make_and_touch = [&] {
        const auto name = random_name("0c8");
        directory_fixture::write_file(f.path_of(name));
        REQUIRE(run(f.volume->touch(name, soon())).has_value());
        REQUIRE(durable.contain(name));
    };
    for (int i = 0; i < 50; ++i) make_and_touch();

    wait_until_settled(folder);
    REQUIRE(run(f.volume->touch(first, soon())).has_value());
    const int before = durable.syncs();
    for (int i = 0; i < 5; ++i) REQUIRE(run(f.volume->touch(first, soon())).has_value());
    CHECK(durable.syncs() == before);

    // It has changed a while ago.
    const auto earlier = random_name("0c8");
    directory_fixture::write_file(f.path_of(earlier));
    wait_until_settled(folder);
    REQUIRE(run(f.volume->touch(first, soon())).has_value());
    CHECK(durable.contain(earlier));

    // It changes again: a new name, and one that is taken away and given back.
    make_and_touch();
    const auto aside = folder / "aside";
    fs::rename(f.path_of(first), aside);
    wait_until_settled(folder);
    CHECK(is_error(run(f.volume->touch(first, soon())), errc::not_found));
    fs::rename(aside, f.path_of(first));
    REQUIRE(run(f.volume->touch(first, soon())).has_value());
    CHECK(durable.contain(first));
    CHECK(durable.syncs() > before);
}

// Kernels before 6.13 take the time of a folder from a clock with steps of up to 10 ms, in which it may change again.
TEST_CASE("a sync of a folder that has just changed is not remembered", "[volumes][sync]") {
    using volumes::directory::synced_folders;
    const temp_dir dir;
    const unique_fd fd(::open(dir.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    int quick = 0;
    for (int i = 0; quick < 20 && i < 10'000; ++i) {
        const auto before = now();
        directory_fixture::write_file(dir.path() / std::to_string(i));
        const auto state = synced_folders::state_of(fd.get());
        if (now() - before > std::chrono::milliseconds(50)) continue;  // A busy machine.
        ++quick;
        CHECK(!state);
    }
    wait_until_settled(dir.path());
    const auto settled = synced_folders::state_of(fd.get());
    synced_folders synced;
    CHECK(!synced.contains(7, *settled));
    synced.add(7, *settled);
    CHECK(synced.contains(7, *settled));
    CHECK(!synced.contains(8, *settled));
    fs::remove(dir.path() / "0");
    wait_until_settled(dir.path());
    CHECK(!synced.contains(7, *synced_folders::state_of(fd.get())));
}

TEST_CASE("a folder whose sync failed is synced by the next touch", "[volumes][sync]") {
    directory_fixture f({.free_bytes_min = 0});
    const auto name = random_name();
    REQUIRE(put(*f.volume, name, random_bytes(1000)).has_value());
    const auto folder = f.path_of(name).parent_path();
    directory_fixture::write_file(folder / "other");
    wait_until_settled(folder);
    std::atomic<bool> fails = true;
    std::atomic<int> syncs = 0;
    const file_call_watch watch([&](file_call call, int fd) {
        if (call != file_call::fsync || !is_same(fd, folder)) return 0;
        ++syncs;
        return fails ? EIO : 0;
    });
    CHECK(is_error(run(f.volume->touch(name, soon())), errc::io_error));
    CHECK(syncs == 1);
    fails = false;
    CHECK(run(f.volume->touch(name, soon())).has_value());
    CHECK(syncs == 2);
}

}  // namespace keepstore::test
