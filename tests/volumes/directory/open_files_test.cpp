// Readers of one block share a descriptor.
#include "volumes/directory/open_files.hpp"
#include "tests/volumes/directory/directory_fixture.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <thread>

namespace keepstore::test {
namespace {

namespace fs = std::filesystem;
using volumes::block_reader;
using volumes::directory::open_files;

/// This process's descriptors of files below `root`, the removed ones included.
std::size_t descriptors_below(const fs::path& root) {
    std::size_t n = 0;
    for (const auto& e : fs::directory_iterator("/proc/self/fd")) {
        std::error_code gone;
        const auto target = fs::read_symlink(e.path(), gone).string();
        n += !gone && target.starts_with(root.string() + "/") ? 1U : 0U;
    }
    return n;
}

std::unique_ptr<block_reader> open_block(directory_fixture& f, const md5_digest& name) {
    auto reader = run(f.volume->open(name, soon()));
    REQUIRE(reader.has_value());
    return std::move(*reader);
}

bytes content_of(block_reader& reader) {
    const auto into = make_heap_slice(reader.size());
    const auto n = run(reader.read_at(0, into, soon()));
    REQUIRE(n.has_value());
    return {into.bytes.begin(), into.bytes.begin() + static_cast<std::ptrdiff_t>(*n)};
}

struct stat status_of(int fd) {
    struct stat out{};
    REQUIRE(::fstat(fd, &out) == 0);
    return out;
}

md5_digest block_named(int number) {
    md5_digest name;
    name.bytes[0] = static_cast<std::uint8_t>(number);
    return name;
}

}  // namespace

TEST_CASE("readers of one block share a descriptor, which the last one closes", "[volumes][directory]") {
    directory_fixture f;
    const auto one = random_name();
    const auto two = random_name();
    const auto content = random_bytes(300'000);
    const auto other = random_bytes(300'000);
    REQUIRE(put(*f.volume, one, content).has_value());
    REQUIRE(put(*f.volume, two, other).has_value());
    REQUIRE(descriptors_below(f.dir.path()) == 0);

    std::vector<std::unique_ptr<block_reader>> readers;
    for (int i = 0; i < 50; ++i) {
        readers.push_back(open_block(f, one));
        if (auto now = f.volume->try_open(one)) readers.push_back(std::move(**now));
    }
    CHECK(descriptors_below(f.dir.path()) == 1);
    const auto different = open_block(f, two);
    CHECK(descriptors_below(f.dir.path()) == 2);
    for (auto& reader : readers) CHECK((content_of(*reader) == content));
    CHECK((content_of(*different) == other));

    readers.erase(readers.begin(), readers.end() - 1);
    CHECK(descriptors_below(f.dir.path()) == 2);
    CHECK((content_of(*readers.front()) == content));
    readers.clear();
    // The thread of the volume that served the last call drops its reference a moment later.
    CHECK(eventually([&] { return descriptors_below(f.dir.path()) == 1; }));
    CHECK((content_of(*open_block(f, one)) == content));
}

TEST_CASE("after a block is replaced old readers read the old content, new ones the new content",
          "[volumes][directory]") {
    directory_fixture f;
    const auto name = random_name();
    const auto before = random_bytes(100'000);
    const auto after = random_bytes(100'000);
    REQUIRE(put(*f.volume, name, before).has_value());
    const auto old_one = open_block(f, name);
    // The same size and time, as a tool that restores a backup might leave it.
    const auto mtime = fs::last_write_time(f.path_of(name));
    const auto beside = f.path_of(name).string() + ".new";
    directory_fixture::write_file(beside, {reinterpret_cast<const char*>(after.data()), after.size()});
    fs::last_write_time(beside, mtime);
    fs::rename(beside, f.path_of(name));
    const auto new_one = open_block(f, name);
    const auto another = open_block(f, name);
    CHECK(descriptors_below(f.dir.path()) == 2);
    CHECK((content_of(*old_one) == before));
    CHECK((content_of(*new_one) == after));
    CHECK((content_of(*another) == after));
    fs::remove(f.path_of(name));
    CHECK(run(f.volume->open(name, soon())).error() == errc::not_found);
    CHECK((content_of(*new_one) == after));
}

TEST_CASE("an uncached reader has a descriptor of its own and does not change the shared one", "[volumes][directory]") {
    const auto how = GENERATE(volumes::direct_io::automatic, volumes::direct_io::off);
    directory_fixture f({.root = {}, .direct = how});
    const auto name = random_name();
    const auto content = random_bytes(1 * MiB);
    REQUIRE(put(*f.volume, name, content).has_value());
    const auto usual = open_block(f, name);
    auto once = open_block(f, name);
    once->bypass_caches();
    CHECK((content_of(*once) == content));
    CHECK(descriptors_below(f.dir.path()) == 2);
    CHECK((content_of(*usual) == content));
    once.reset();
    CHECK(eventually([&] { return descriptors_below(f.dir.path()) == 1; }));
}

TEST_CASE("open files are forgotten when they are closed", "[volumes][directory]") {
    const temp_dir dir;
    const auto open_one = [&](int i) {
        const auto path = dir.path() / std::to_string(i);
        return unique_fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    };
    open_files files;
    {
        std::vector<volumes::directory::shared_fd> held;
        for (int i = 0; i < 100; ++i) {
            auto fd = open_one(i % 20);
            const auto status = status_of(fd.get());
            held.push_back(files.share(block_named(i % 20), std::move(fd), status));
        }
        CHECK(files.count() == 20);
        CHECK(held[0]->get() == held[20]->get());
        CHECK(held[0]->get() != held[1]->get());
        // Touched: the mtime has changed, so the file is opened once more.
        const struct timespec times[2] = {{1, 0}, {1, 0}};
        REQUIRE(::futimens(held[0]->get(), times) == 0);
        auto touched = open_one(0);
        const auto status = status_of(touched.get());
        CHECK(files.share(block_named(0), std::move(touched), status)->get() != held[0]->get());
        CHECK(files.count() == 20);
    }
    CHECK(files.count() == 0);
    CHECK(descriptors_below(dir.path()) == 0);
}

TEST_CASE("blocks with the same inode number, size and time have descriptors of their own", "[volumes][directory]") {
    const temp_dir dir;
    const auto open_one = [&](const char* name) {
        return unique_fd(::open((dir.path() / name).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    };
    open_files files;
    auto one = open_one("one");
    auto two = open_one("two");
    // As some FUSE file systems report them.
    const auto status = status_of(one.get());
    const int number_of_two = two.get();
    const auto first = files.share(block_named(1), std::move(one), status);
    CHECK(files.share(block_named(2), std::move(two), status)->get() == number_of_two);
    CHECK(files.share(block_named(1), open_one("one"), status)->get() == first->get());
}

TEST_CASE("many threads open and close the same few files", "[volumes][directory]") {
    const temp_dir dir;
    open_files files;
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 5'000; ++i) {
                const auto path = dir.path() / std::to_string((i + t) % 3);
                unique_fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
                struct stat mine{};
                struct stat got{};
                if (::fstat(fd.get(), &mine) != 0) ++wrong;
                const auto shared = files.share(block_named((i + t) % 3), std::move(fd), mine);
                if (::fstat(shared->get(), &got) != 0 || got.st_ino != mine.st_ino) ++wrong;
            }
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(wrong == 0);
    CHECK(files.count() == 0);
    CHECK(descriptors_below(dir.path()) == 0);
}

TEST_CASE("without free descriptors a block is unavailable, not missing", "[volumes][directory]") {
    directory_fixture f;
    const auto name = random_name();
    REQUIRE(put(*f.volume, name, random_bytes(1000)).has_value());
    REQUIRE(open_block(f, name));
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    // The limit is the number that the next descriptor would get.
    const int next = ::dup(0);
    REQUIRE(next >= 0);
    ::close(next);
    const rlimit none{static_cast<rlim_t>(next), before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    auto refused = run(f.volume->open(name, soon()));
    auto inline_refused = f.volume->try_open(name);
    auto writer = put(*f.volume, random_name(), random_bytes(1000));
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error() == errc::unavailable);
    CHECK(refused.error().text == "too many open files");
    if (inline_refused) CHECK(inline_refused->error() == errc::unavailable);
    REQUIRE_FALSE(writer.has_value());
    CHECK(writer.error() == errc::unavailable);
    CHECK(run(f.volume->open(name, soon())).has_value());
}

}  // namespace keepstore::test
