// Writers of a Directory volume: every way in which one can end.
#include "tests/volumes/directory/directory_fixture.hpp"
#include "tests/volumes/directory/scoped_mount.hpp"

#include <catch2/catch.hpp>

#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <condition_variable>
#include <csignal>
#include <mutex>

namespace {

// Holds up the writes of this process while it is closed: a disk that does not get on.
class write_gate {
  public:
    void close() {
        const std::lock_guard lock(mutex_);
        closed_ = true;
    }
    void open() {
        const std::lock_guard lock(mutex_);
        closed_ = false;
        changed_.notify_all();
    }
    void pass() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return !closed_; });
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool closed_ = false;
};

write_gate& writes() {
    static auto& gate = *new write_gate;
    return gate;
}

// Opens the gate at the end of a test, whatever that is.
struct closed_gate {
    closed_gate() { writes().close(); }
    ~closed_gate() { writes().open(); }
};

}  // namespace

// In place of the C library's.
extern "C" ssize_t pwritev(int fd, const iovec* pieces, int count, off_t offset) {
    writes().pass();
    return ::syscall(SYS_pwritev, fd, pieces, count, offset, 0);
}

namespace keepstore::test {
namespace {

using volumes::block_writer;

// An append that runs while the test does something else.
class running_append {
  public:
    running_append(asio::io_context& context, block_writer& w, const_slice bytes) : context_(context) {
        test::start_work(context, w.append(std::move(bytes), soon()),
                         [this](result<void> r) { outcome_.emplace(std::move(r)); });
    }
    [[nodiscard]] bool suspends() {
        context_.restart();
        context_.run_for(std::chrono::milliseconds(20));
        return !outcome_;
    }
    [[nodiscard]] bool succeeds() {
        return turn_until(context_, [this] { return outcome_.has_value(); }) && outcome_->has_value();
    }

  private:
    asio::io_context& context_;
    std::optional<result<void>> outcome_;
};

bytes read_back_all(block_writer& w, std::size_t limit, std::size_t piece) {
    bytes out;
    while (out.size() < limit) {
        const auto into = make_heap_slice(piece);
        const auto n = run(w.read_back(out.size(), into, soon()));
        REQUIRE(n.has_value());
        if (*n == 0) break;
        out.insert(out.end(), into.bytes.begin(), into.bytes.begin() + static_cast<std::ptrdiff_t>(*n));
    }
    return out;
}

// Appends `content` in pieces until append fails. \returns the bytes that were taken.
std::size_t append_all(block_writer& w, const bytes& content, std::size_t piece, result<void>& last) {
    std::size_t taken = 0;
    while (taken < content.size()) {
        const auto n = std::min(piece, content.size() - taken);
        last = run(w.append(copy_to_heap_slice(std::span(content).subspan(taken, n)), soon()));
        if (!last) break;
        taken += n;
    }
    return taken;
}

using some_writers = std::vector<std::unique_ptr<block_writer>>;

// Writers whose callers let them queue any number of bytes.
some_writers three_writers(directory_fixture& f) {
    some_writers out;
    for (int i = 0; i < 3; ++i) {
        out.push_back(std::move(run(f.volume->create(random_name(), 60 * MiB, soon())).value()));
        out.back()->set_queue_bytes(GiB);
    }
    return out;
}

// Queues as much as all writers of a volume may have, half of it in each of the first two: a block ends at 64 MiB.
void queue_the_most(asio::io_context& context, const some_writers& writers, const const_slice& piece) {
    for (std::size_t queued = 0; queued < limits::volume_queue_bytes_max; queued += piece.size()) {
        auto& writer = *writers[queued < limits::volume_queue_bytes_max / 2 ? 0 : 1];
        REQUIRE(running_append(context, writer, piece).succeeds());
    }
}

// A file size limit for this process, as a cheap full disk: EFBIG in mid-block.
class file_size_limit {
  public:
    explicit file_size_limit(rlim_t bytes_max) {
        ::signal(SIGXFSZ, SIG_IGN);
        ::getrlimit(RLIMIT_FSIZE, &before_);
        const rlimit now{bytes_max, before_.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &now);
    }
    ~file_size_limit() { ::setrlimit(RLIMIT_FSIZE, &before_); }
    file_size_limit(const file_size_limit&) = delete;
    file_size_limit& operator=(const file_size_limit&) = delete;

  private:
    rlimit before_{};
};

}  // namespace

TEST_CASE("the temp file of a destroyed writer is removed, whatever the writer was doing", "[volumes][writer]") {
    for (const auto& parent : {on_disk(), in_memory()}) {
        directory_fixture f({.free_bytes_min = 0}, parent);
        for (unsigned pieces = 0; pieces < 24; ++pieces) {
            auto writer = run(f.volume->create(random_name("abc"), 8 * MiB, soon()));
            REQUIRE(writer.has_value());
            for (unsigned i = 0; i < pieces; ++i) {
                const auto content = random_bytes(100'000);
                REQUIRE(run((*writer)->append(copy_to_heap_slice(content), soon())).has_value());
            }
        }
        REQUIRE(eventually([&] { return f.count_files("tmp") == 0; }));
        CHECK(index_names(*f.volume).value().empty());
    }
}

TEST_CASE("a small block has no file before its commit", "[volumes][writer]") {
    directory_fixture f({.free_bytes_min = 0});
    auto writer = run(f.volume->create(random_name(), 1000, soon()));
    REQUIRE(run((*writer)->append(copy_to_heap_slice(random_bytes(1000)), soon())).has_value());
    CHECK(std::filesystem::is_empty(f.dir.path()));
    REQUIRE(run((*writer)->commit(std::nullopt, soon())).has_value());
    CHECK(f.volume->stats().operations.at("create") == 1);
}

TEST_CASE("append suspends while more than queue_bytes are queued, and no longer", "[volumes][writer]") {
    directory_fixture f({.free_bytes_min = 0});
    const auto content = random_bytes(16 * MiB);
    for (const std::size_t queue : {std::size_t{1}, 256 * KiB, 64 * MiB}) {
        const auto name = random_name();
        auto writer = run(f.volume->create(name, content.size(), soon()));
        REQUIRE(writer.has_value());
        (*writer)->set_queue_bytes(queue);
        result<void> last;
        REQUIRE(append_all(**writer, content, 300'000, last) == content.size());
        REQUIRE(run((*writer)->commit(std::nullopt, soon())).has_value());
        CHECK(get(*f.volume, name).value() == content);
    }
}

TEST_CASE("append waits for a disk that does not get on, once the queue is full", "[volumes][writer]") {
    directory_fixture f({.free_bytes_min = 0});
    asio::io_context& context = new_context();
    const const_slice piece = copy_to_heap_slice(random_bytes(256 * KiB));
    auto writer = run(f.volume->create(random_name(), 8 * MiB, soon()));
    (*writer)->set_queue_bytes(512 * KiB);
    const closed_gate closed;
    for (int i = 0; i < 2; ++i) CHECK(running_append(context, **writer, piece).succeeds());
    running_append third(context, **writer, piece);
    CHECK(third.suspends());
    writes().open();
    CHECK(third.succeeds());
}

TEST_CASE("flush waits until all that was appended is written", "[volumes][writer]") {
    directory_fixture f({.free_bytes_min = 0});
    asio::io_context& context = new_context();
    const auto content = random_bytes(256 * KiB);
    auto writer = run(f.volume->create(random_name(), 8 * MiB, soon()));
    const closed_gate closed;
    CHECK(running_append(context, **writer, copy_to_heap_slice(content)).succeeds());
    std::optional<result<void>> flushed;
    test::start_work(context, (*writer)->flush(soon()), [&](result<void> r) { flushed.emplace(std::move(r)); });
    context.restart();
    context.run_for(std::chrono::milliseconds(20));
    CHECK_FALSE(flushed);
    writes().open();
    REQUIRE(turn_until(context, [&] { return flushed.has_value(); }));
    CHECK(flushed->has_value());
}

TEST_CASE("while a volume has too much queued, each writer waits for its own bytes", "[volumes][writer][memory]") {
    directory_fixture f({.free_bytes_min = 0});
    asio::io_context& context = new_context();
    const const_slice piece = copy_to_heap_slice(random_bytes(MiB));
    auto writers = three_writers(f);
    const closed_gate closed;
    queue_the_most(context, writers, piece);
    running_append over(context, *writers[0], piece);
    CHECK(over.suspends());
    running_append first(context, *writers[2], piece.subslice(0, 300 * KiB));
    CHECK(first.suspends());
    writes().open();
    CHECK(over.succeeds());
    CHECK(first.succeeds());
    writers.clear();
}

TEST_CASE("what was written, and what a destroyed writer had, is no longer queued", "[volumes][writer][memory]") {
    directory_fixture f({.free_bytes_min = 0});
    asio::io_context& context = new_context();
    const const_slice piece = copy_to_heap_slice(random_bytes(MiB));
    for (const bool destroyed : {false, true}) {
        CAPTURE(destroyed);
        auto writers = three_writers(f);
        const closed_gate closed;
        queue_the_most(context, writers, piece);
        if (destroyed) {
            writers[0].reset();  // Their jobs hang.
            writers[1].reset();
        } else {
            // Both wait before the first byte is written: no later call counts what is left.
            int flushed = 0;
            const auto count = [&](const result<void>& r) { flushed += r ? 1 : 0; };
            for (const std::size_t i : {0U, 1U}) test::start_work(context, writers[i]->flush(soon()), count);
            context.restart();
            context.poll();
            writes().open();
            REQUIRE(turn_until(context, [&] { return flushed == 2; }));
            writes().close();
        }
        running_append next(context, *writers[2], piece.subslice(0, 300 * KiB));
        CHECK_FALSE(next.suspends());
        writes().open();
        CHECK(next.succeeds());
    }
}

TEST_CASE("a whole chunk of a block of unknown size is written before its commit", "[volumes][writer][memory]") {
    directory_fixture f({.free_bytes_min = 0});
    auto writer = run(f.volume->create(random_name(), std::nullopt, soon()));
    {
        auto chunk = make_heap_slice(limits::chunk_size_bytes);
        const auto bytes = chunk.freeze(chunk.size());
        chunk = {};
        const buffer_ref& held = bytes.owner;
        REQUIRE(run((*writer)->append(bytes, soon())).has_value());
        // Another chunk may be needed before it is known whether the block ends here.
        CHECK(eventually([&] { return held.unique(); }));
    }
    REQUIRE(run((*writer)->commit(std::nullopt, soon())).has_value());
}

TEST_CASE("slices are released when they are written or the writer is destroyed", "[volumes][writer]") {
    class counting_owner final : public buffer_owner {
      public:
        explicit counting_owner(std::atomic<int>& alive) : alive_(alive), bytes(256 * KiB) { ++alive_; }
        ~counting_owner() override { --alive_; }
        std::atomic<int>& alive_;
        std::vector<std::byte> bytes;

      private:
        void recycle() noexcept override { delete this; }
    };
    std::atomic<int> alive = 0;
    const auto slice = [&](std::size_t size) {
        auto* const owner = new counting_owner(alive);
        return const_slice{std::span<const std::byte>(owner->bytes).first(size), buffer_ref(owner)};
    };
    directory_fixture f({.direct = volumes::direct_io::on, .free_bytes_min = 0});
    for (const bool commit : {true, false}) {
        auto writer = run(f.volume->create(random_name(), 4 * MiB, soon()));
        // Lengths that leave part of a page: that must not keep a whole chunk in use.
        for (int i = 0; i < 10; ++i) REQUIRE(run((*writer)->append(slice(200'001), soon())).has_value());
        REQUIRE(eventually([&] { return alive == 0; }));
        REQUIRE(run((*writer)->append(slice(3), soon())).has_value());
        if (commit) REQUIRE(run((*writer)->commit(std::nullopt, soon())).has_value());
        writer = fail(errc::cancelled);
        REQUIRE(eventually([&] { return alive == 0; }));
    }
}

TEST_CASE("after a failed write all appended bytes can be read back", "[volumes][writer]") {
    for (const auto mode : {volumes::direct_io::off, volumes::direct_io::on}) {
        directory_fixture f({.direct = mode, .free_bytes_min = 0});
        const auto content = random_bytes(4 * MiB);
        auto writer = run(f.volume->create(random_name(), std::nullopt, soon()));
        REQUIRE(writer.has_value());
        result<void> last;
        std::size_t taken = 0;
        {
            const file_size_limit limit(1'000'000);
            taken = append_all(**writer, content, 100'000, last);
            if (last) last = run((*writer)->commit(std::nullopt, soon()));
        }
        REQUIRE_FALSE(last.has_value());
        CHECK(last.error() == errc::no_space);
        CHECK(f.volume->stats().errors.at("*fs.PathError") >= 1);
        for (const std::size_t piece : {std::size_t{70'001}, 256 * KiB}) {
            const auto back = read_back_all(**writer, content.size(), piece);
            // The bytes of the failed append may be there or not.
            CHECK(back.size() >= taken);
            CHECK(back.size() <= std::min(content.size(), taken + 100'000));
            CHECK(std::equal(back.begin(), back.end(), content.begin()));
        }
        // Nothing is left under any name, the error stays, and the volume is fine.
        CHECK(f.count_files("tmp") == 0);
        CHECK_FALSE(run((*writer)->append(copy_to_heap_slice(random_bytes(1)), soon())).has_value());
        CHECK_FALSE(run((*writer)->commit(std::nullopt, soon())).has_value());
        CHECK(put(*f.volume, random_name(), content).has_value());
    }
}

TEST_CASE("a full file system is no_space, and marks the volume until there is space again",
          "[volumes][writer][full]") {
    const temp_dir mount_point(in_memory());
    const scoped_mount small(mount_point.path(), {.data = "size=3m"});
    if (!small.mounted()) {
        WARN("skipped: may not mount a small tmpfs here");
        return;
    }
    directory_fixture f({.free_bytes_min = 1 * MiB}, mount_point.path());
    const auto content = random_bytes(1536 * KiB);
    const auto first = random_name();
    REQUIRE(put(*f.volume, first, content).has_value());
    const auto refused = put(*f.volume, random_name(), random_bytes(2 * MiB));
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error() == errc::no_space);
    CHECK(std::filesystem::is_symlink(f.dir.path() / "full"));
    CHECK(f.count_files("tmp") == 0);
    CHECK(is_error(run(f.volume->create(random_name(), 1, soon())), errc::no_space));
    REQUIRE(run(f.volume->trash(first, trash_at_once(std::chrono::nanoseconds(0)), soon())).has_value());
    REQUIRE(eventually([&] { return put(*f.volume, first, random_bytes(1000)).has_value(); }));  // After 5 s.
    CHECK_FALSE(std::filesystem::is_symlink(f.dir.path() / "full"));
}

TEST_CASE("commit stores the attribute with the block", "[volumes][writer]") {
    directory_fixture f({.free_bytes_min = 0});
    const auto name = random_name();
    const auto value = random_bytes(100);
    auto writer = run(f.volume->create(name, 10, soon()));
    REQUIRE(run((*writer)->append(copy_to_heap_slice(random_bytes(10)), soon())).has_value());
    REQUIRE(run((*writer)->commit(std::pair(std::string("keepstore.test"), value), soon())).has_value());
    auto reader = run(f.volume->open(name, soon()));
    CHECK(run((*reader)->read_attribute("keepstore.test", soon())).value() == value);
    bytes raw(200);
    CHECK(::getxattr(f.path_of(name).c_str(), "user.keepstore.test", raw.data(), raw.size()) == 100);
}

}  // namespace keepstore::test
