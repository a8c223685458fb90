/// The scrub of small blocks, which are read and hashed many at a time: each bad one is found, and none suffers for the
/// others.

#include "base/limits.hpp"
#include "store/limits.hpp"
#include "store/scrub/verify_batch.hpp"
#include "tests/store/scrub/scrub_fixture.hpp"

#include <catch2/catch.hpp>

#include <utility>

using namespace keepstore;
using namespace keepstore::store;
using namespace keepstore::test;
using namespace keepstore::test::scrubbing;
using namespace std::chrono_literals;
using fixture = keepstore::test::scrubbing::scrub_fixture;

namespace {

// Around MD5 blocks, pages and the largest block without waypoints.
const std::vector<std::size_t> small_sizes{
    7, 55, 56, 63, 64, 65, 4095, 4096, 4097, 10'000, 65'536, 65'537, 100'000, 256 * KiB - 1, 256 * KiB};

struct batch_fixture : fixture {
    using fixture::fixture;

    std::vector<md5_digest> plant_good(std::size_t count, std::optional<std::size_t> size = std::nullopt) {
        std::vector<md5_digest> names;
        for (std::size_t i = 0; i < count; ++i) {
            const std::string c = make_content(size.value_or(small_sizes[i % small_sizes.size()]), ++seed);
            names.push_back(name_of(c));
            inner().plant(names.back(), c);
        }
        return names;
    }
    memory_volume& inner() { return volumes[0]->inner; }
    scrub_volume& volume() { return *volumes[0]; }

    unsigned seed = 0;
};

batch_fixture& whole(batch_fixture& f) {
    for (const auto& v : f.volumes) v->reads_whole = true;
    return f;
}

}  // namespace

TEST_CASE("small blocks are read once, many at a time, and hashed in lanes", "[store][scrub]") {
    batch_fixture f({{}});
    whole(f);
    const auto names = f.plant_good(600);
    const auto s = f.pass();
    CHECK(s.state == scrub_state::finished);
    CHECK(s.position == limits::scrub_steps);
    CHECK(s.pass.blocks == names.size());
    CHECK(s.pass.bad + s.pass.unreadable + s.pass.vanished == 0);
    std::uint64_t bytes = 0;
    for (const auto& n : names) {
        bytes += f.volume().content(n)->size();
        CHECK(f.volume().whole_reads[n] == 1);
        CHECK(f.volume().opens[n] == 0);
    }
    CHECK(s.pass.bytes == bytes);
    CHECK(f.volume().whole_reads_at_once <= limits::scrub_call_blocks);
    const auto hashed = f.engine.snapshot();
    if (f.engine.lanes() > 1) {
        CHECK(hashed.bytes_single_total < bytes / 20);
        CHECK(hashed.lanes_used_total > hashed.passes_total * f.engine.lanes() / 2);
    }
}

TEST_CASE("one bad copy among many good small ones is found, whatever its damage", "[store][scrub]") {
    for (const bool other_copy : {false, true}) {
        batch_fixture f(other_copy ? std::vector<mount_plan>{{}, {}} : std::vector<mount_plan>{{}});
        whole(f);
        const auto names = f.plant_good(400);
        std::map<md5_digest, std::string> bad;
        std::map<md5_digest, std::string> right;
        for (const std::size_t size : small_sizes) {
            for (std::size_t kind = 0; kind < damaged(make_content(size)).size(); ++kind) {
                const std::string good = make_content(size, ++f.seed);
                const std::string now = damaged(good)[kind].bytes;
                if (now == good) continue;
                bad[name_of(good)] = now;
                right[name_of(good)] = good;
                f.inner().plant(name_of(good), now);
                if (other_copy) f.volumes[1]->inner.plant(name_of(good), good);
            }
        }
        const auto s = f.pass();
        CHECK(s.state == scrub_state::finished);
        CHECK(s.pass.blocks == names.size() + bad.size());
        CHECK(s.pass.bad == bad.size());
        CHECK(s.pass.repaired == (other_copy ? bad.size() : 0));
        CHECK(s.irreparable.size() == (other_copy ? 0 : bad.size()));
        for (const auto& copy : s.irreparable) CHECK(bad.contains(copy.block));
        for (const auto& [name, content] : other_copy ? right : bad) CHECK(f.volume().content(name) == content);
        for (const auto& n : names) CHECK(f.volume().opens[n] == 0);
        CHECK(f.store.counters().bad_copies.value() == bad.size());
    }
}

TEST_CASE("hundreds of empty copies are found", "[store][scrub]") {
    batch_fixture f({{}});
    whole(f);
    f.inner().plant(md5_of_nothing, "");
    for (unsigned i = 0; i < 300; ++i) f.inner().plant(name_of(make_content(100, i + 1)), "");
    const auto s = f.pass();
    CHECK(s.state == scrub_state::finished);
    CHECK(s.pass.blocks == 301);
    CHECK(s.pass.bad == 300);
    CHECK(f.volume().opens[md5_of_nothing] == 0);
}

TEST_CASE("changes of small blocks during a batch do not affect the others", "[store][scrub]") {
    batch_fixture f({{}, {}});
    whole(f);
    const auto names = f.plant_good(300, 3000);
    const auto vanishes = f.plant_good(1, 3001).front();
    const auto appended = f.plant_good(1, 3002).front();
    const auto unreadable = f.plant_good(1, 3003).front();
    const std::string mended = make_content(3004, 7);
    f.inner().plant(name_of(mended), damaged(mended)[1].bytes, memory_volume::now() - 1h);
    f.volume().unreadable.insert(unreadable);
    const std::string grown = *f.volume().content(appended) + "x";
    bool replaced = false;
    f.volume().on_read = [&](const md5_digest& n) {
        if (n == vanishes) f.volume().vanish(n);
        if (n == appended) f.inner().rot(n, grown);
        // By a good copy, just after the bad one was read.
        if (n == name_of(mended) && std::exchange(replaced, f.volume().whole_reads[n] > 0)) f.inner().plant(n, mended);
    };
    const auto s = f.pass();
    CHECK(s.state == scrub_state::finished);
    CHECK(s.pass.blocks == names.size() + 3);
    CHECK(s.pass.vanished == 1);
    CHECK(s.pass.bad == 1);
    CHECK(s.pass.unreadable == 1);
    REQUIRE(s.irreparable.size() == 2);
    for (const auto& copy : s.irreparable) CHECK((copy.block == appended || copy.block == unreadable));
    CHECK(f.volume().content(name_of(mended)) == mended);
    for (const auto& n : names) CHECK(f.volume().opens[n] == 0);
}

TEST_CASE("a scrub that is stopped among small blocks goes on before the first one that it had not checked",
          "[store][scrub]") {
    batch_fixture f({{}});
    whole(f);
    auto names = f.plant_good(3000, 200);
    std::ranges::sort(names);
    int reads = 0;
    f.volume().on_read = [&](const md5_digest&) {
        if (++reads == 1500) CHECK(f.scrub->stop("").has_value());
    };
    f.make();
    const auto first = f.pass();
    f.volume().on_read = nullptr;
    CHECK(first.state == scrub_state::stopped);
    CHECK(first.position > 500);
    CHECK(first.position < 3500);
    const auto step_of = [](const md5_digest& n) { return unsigned{n.bytes[0]} * 16 + n.bytes[1] / 16; };
    std::size_t before = 0;
    for (const auto& n : names) {
        if (step_of(n) >= first.position) continue;
        ++before;
        CHECK(f.volume().whole_reads[n] == 1);
    }
    // No step is done before its copies were checked, and only copies that were in progress are checked again.
    CHECK(first.pass.blocks >= before);
    CHECK(before + (limits::scrub_batch_checkers + 1) * limits::scrub_batch_blocks > 1500);

    SECTION("when asked") {}
    SECTION("by the next process") {
        f.make();
    }
    const auto second = f.pass();
    CHECK(second.state == scrub_state::finished);
    CHECK(second.started == first.started);
    CHECK(second.pass.blocks == first.pass.blocks + names.size() - before);
    for (const auto& n : names) CHECK(f.volume().whole_reads[n] >= 1);
}

TEST_CASE("small blocks are read into a bounded memory", "[store][scrub]") {
    for (const std::size_t size : {std::size_t{100}, std::size_t{4096}, 64 * KiB, 130 * KiB, 256 * KiB}) {
        batch_fixture f({{}});
        whole(f);
        const auto names = f.plant_good(std::min<std::size_t>(2000, 40 * MiB / size), size);
        // Blocks with waypoints want their share of it at the same time.
        for (unsigned i = 0; i < 3; ++i) {
            const std::string c = make_content(5 * MiB, i + 1);
            f.inner().plant(name_of(c), c);
            f.volume().attributes[name_of(c)] = waypoints_of(c, c.size());
        }
        std::size_t most = 0;
        f.volume().on_read = [&](const md5_digest&) { most = std::max(most, f.scrub->memory().in_use_bytes()); };
        const auto s = f.pass();
        CAPTURE(size);
        CHECK(s.state == scrub_state::finished);
        CHECK(s.pass.blocks == names.size() + 3);
        CHECK(most > 0);
        CHECK(most <= limits::scrub_pool_bytes);
    }
}

TEST_CASE("a batch takes as many copies as there is room for in its share of the memory", "[store][scrub]") {
    const auto count = [](std::uint64_t size) {
        verify_batch batch;
        std::size_t n = 0;
        while (batch.add({.name = {}, .size = size, .mtime = {}})) ++n;
        CHECK(batch.copies().size() == n);
        return n;
    };
    CHECK(count(0) == limits::scrub_batch_blocks);
    CHECK(count(4096) == limits::scrub_batch_blocks);
    CHECK(count(64 * KiB) == limits::scrub_lanes * 4);
    CHECK(count(64 * KiB + 1) == limits::scrub_lanes * 3);
    CHECK(count(128 * KiB + 1) == limits::scrub_lanes);
    CHECK(count(limits::chunk_size_bytes) == limits::scrub_lanes);
}

TEST_CASE("small blocks are read no faster than the rate says", "[store][scrub]") {
    batch_fixture f({{}});
    whole(f);
    const std::size_t size = 60'000;
    const auto names = f.plant_good(200, size);
    f.make({.interval = 0ns, .rate = 1 * MiB});
    const auto s = f.pass();
    CHECK(s.pass.bytes == names.size() * size);
    const double seconds = std::chrono::duration<double>(f.clock.slept).count();
    // A read is paid for by the wait of the next one, the last read not at all.
    const double due = static_cast<double>(names.size() * size - limits::scrub_call_bytes) / (1 * MiB);
    CHECK(seconds > due - 0.2);
}

TEST_CASE("a volume that does not respond for small blocks ends the pass with a reason, or delays it",
          "[store][scrub]") {
    batch_fixture f({{}});
    whole(f);
    const auto names = f.plant_good(500, 300);
    auto& v = f.volume();
    int reads = 0;
    SECTION("not at all") {
        v.on_read = [&](const md5_digest&) {
            v.whole_read_error = error(errc::timeout, "volume does not respond");
            v.inner.fail_everything(v.whole_read_error);
        };
        const auto s = f.pass();
        CHECK(s.state == scrub_state::failed);
        CHECK_THAT(s.reason, Catch::Contains("volume does not respond"));
        CHECK(s.pass.bad + s.pass.unreadable + s.pass.vanished == 0);
        v.inner.fail_everything(std::nullopt);
        v.whole_read_error.reset();
        v.on_read = nullptr;
    }
    SECTION("for a moment") {
        v.on_read = [&](const md5_digest&) {
            v.whole_read_error = ++reads == 100 ? std::optional(error(errc::timeout)) : std::nullopt;
        };
    }
    const auto s = f.pass();
    CHECK(s.state == scrub_state::finished);
    CHECK(s.pass.blocks >= names.size());
    CHECK(s.pass.bad + s.pass.unreadable + s.pass.vanished == 0);
}

TEST_CASE("a disk that reads no small block is a broken volume", "[store][scrub]") {
    batch_fixture f({{}});
    whole(f);
    for (const auto& n : f.plant_good(500, 100)) f.volume().unreadable.insert(n);
    const auto s = f.pass();
    CHECK(s.state == scrub_state::failed);
    CHECK_THAT(s.reason, Catch::Contains("cannot be read"));
    CHECK(s.pass.unreadable <= limits::scrub_unreadable_in_a_row_max + limits::scrub_batch_checkers);
}
