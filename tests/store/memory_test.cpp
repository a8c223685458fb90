// What requests do when memory is short or volumes fail: no request waits for memory that waits for it
// (docs/memory.md).
#include "digest/waypoints.hpp"
#include "tests/store/memory_fixture.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::test;
using namespace std::chrono_literals;

namespace {

using volume_call = queued_volume::call;
using fate = queued_volume::fate;

fate broken(volume_call what, std::uint64_t) {
    if (what == volume_call::write || what == volume_call::commit)
        return {.fails = error(errc::io_error, "injected fault")};
    return {};
}

}  // namespace

TEST_CASE("small blocks reach the third volume when two fail at commit, however many there are", "[store][memory]") {
    // As many as there are chunks, more than leases in the copy pool.
    memory_fixture f(3, {.request_chunks = 64, .copy_chunks = 4});
    f.volumes[0]->plan = f.volumes[1]->plan = broken;
    std::vector<std::string> contents;
    for (unsigned i = 0; i < 100; ++i) contents.push_back(make_content(100'000, i + 1));
    for (const auto& content : contents) f.put(content);
    CHECK(f.finish(10s));
    CHECK(f.served() == contents.size());
    for (const auto& content : contents) CHECK(f.volumes[2]->inner.content(name_of(content)) == content);
    // The bytes were still in memory.
    CHECK(f.store.context().copy_pool.snapshot().allocated_bytes == 0);
    f.cancel_all();
}

TEST_CASE("a replacement that fails while it is fed is dropped, and the next volume gets the bytes",
          "[store][memory][faults]") {
    memory_fixture f(3, {.copy_chunks = limits::copy_lease_chunks});
    f.volumes[0]->plan = [](volume_call what, std::uint64_t bytes) -> fate {
        if (what == volume_call::write && bytes >= 8 * chunk) return {.fails = error(errc::io_error, "first")};
        return {};
    };
    f.volumes[1]->plan = [](volume_call what, std::uint64_t bytes) -> fate {
        if (what == volume_call::write && bytes >= 2 * chunk)
            return {.takes = 300ms, .fails = error(errc::io_error, "second")};
        return {};
    };
    const auto content = make_content(12 * chunk + 5);
    f.put(content);
    CHECK(f.finish(10s));
    CHECK(f.served() == 1);
    CHECK(f.volumes[2]->inner.content(name_of(content)) == content);
    f.cancel_all();
}

TEST_CASE("a replacement that keeps the end of the block for its commit holds up no other one",
          "[store][memory][faults]") {
    memory_fixture f(3, {.copy_chunks = limits::copy_lease_chunks});
    for (const auto& v : f.volumes) v->keeps_last = true;
    f.volumes[0]->plan = [](volume_call what, std::uint64_t) -> fate {
        if (what == volume_call::commit) return {.fails = error(errc::io_error, "first")};
        return {};
    };
    f.volumes[1]->plan = [](volume_call what, std::uint64_t bytes) -> fate {
        if (what == volume_call::write && bytes >= 4 * chunk) return {.fails = error(errc::io_error, "second")};
        return {};
    };
    const auto content = make_content(4 * chunk + 5);
    f.put(content);
    CHECK(f.finish(10s));
    CHECK(f.served() == 1);
    CHECK(f.volumes[2]->inner.content(name_of(content)) == content);
    f.cancel_all();
}

TEST_CASE("replacements that all fail end the request soon, and give all memory back", "[store][memory][faults]") {
    memory_fixture f(4, {.request_chunks = 4, .copy_chunks = 4});
    for (const std::uint64_t at : {0U, 1U, 3U, 6U}) {
        for (const auto& v : f.volumes) {
            v->plan = [at](volume_call what, std::uint64_t bytes) -> fate {
                if (what == volume_call::write && bytes >= at * chunk)
                    return {.takes = 1ms, .fails = error(errc::io_error)};
                return {};
            };
        }
        for (unsigned i = 0; i < 6; ++i) f.put(make_content(8 * chunk + 9, i + 1));
        CHECK(f.finish(10s));
        CHECK(f.served() == 0);
        for (const auto& t : f.tasks) CHECK((t.ended() && !t.ok() && t.outcome->error() == errc::unavailable));
        f.cancel_all();
        CHECK(turn_until(f.context, [&] { return f.in_use() == 0; }));
        f.tasks.clear();
    }
}

TEST_CASE("writers that fail while their requests wait for memory are replaced, and the requests served",
          "[store][memory][faults]") {
    // Each request has one chunk in the queue of a writer that fails later, and waits for the next one.
    constexpr std::size_t many = 8;
    memory_fixture f(2, {.request_chunks = many, .copy_chunks = 4});
    f.volumes[0]->plan = [](volume_call what, std::uint64_t) -> fate {
        if (what == volume_call::write) return {.takes = 100ms, .fails = error(errc::io_error)};
        return {};
    };
    std::vector<std::string> contents;
    for (unsigned i = 0; i < many; ++i) contents.push_back(make_content(4 * chunk, i + 1));
    for (const auto& content : contents) f.put(content);
    CHECK(f.finish(10s));
    CHECK(f.served() == many);
    f.cancel_all();
}

TEST_CASE("a request whose writer fails with the last chunk in its queue goes on with the next volume",
          "[store][memory][faults]") {
    memory_fixture f(2, {.request_chunks = 1, .copy_chunks = limits::copy_lease_chunks});
    f.volumes[0]->plan = [](volume_call what, std::uint64_t) -> fate {
        if (what == volume_call::write) return {.takes = 20ms, .fails = error(errc::io_error)};
        return {};
    };
    const auto content = make_content(4 * chunk + 1);
    f.put(content);
    CHECK(f.finish(10s));
    CHECK(f.served() == 1);
    CHECK(f.volumes[1]->inner.content(name_of(content)) == content);
    f.cancel_all();
}

TEST_CASE("a failed writer whose volume is not replaced gives its queue back", "[store][memory][faults]") {
    memory_fixture f(2, {.request_chunks = 1});
    f.volumes[0]->plan = [](volume_call what, std::uint64_t) -> fate {
        if (what == volume_call::write) return {.takes = 20ms, .fails = error(errc::io_error)};
        return {};
    };
    const auto content = make_content(4 * chunk + 1);
    // No other volume has the class of the first one; the block is stored for the other class alone.
    f.put(content, {.classes = {"class0", "class1"}});
    CHECK(f.finish(10s));
    CHECK(f.served() == 1);
    CHECK(f.volumes[1]->inner.content(name_of(content)) == content);
    f.cancel_all();
}

TEST_CASE("a request without memory fails at its deadline", "[store][memory]") {
    memory_fixture f(1, {.request_chunks = 1});
    {
        const auto held = f.pool.try_acquire();
        f.put(make_content(1000), {.limit = 50ms});
        CHECK(f.finish(10s));
        const auto& task = f.tasks.front();
        CHECK((task.ended() && !task.ok() && task.outcome->error() == errc::timeout));
        f.cancel_all();
    }
    f.put(make_content(1000));
    CHECK(f.finish(10s));
    CHECK(f.tasks.back().ok());
}

TEST_CASE("legal waypoints with a segment larger than a read may hold are replaced", "[store][memory][waypoints]") {
    const auto content = make_content(5 * MiB + 3);
    const auto name = name_of(content);
    memory_fixture f(1, {.request_chunks = 1, .scratch_chunks = 4});
    auto& volume = f.volumes[0]->inner;
    volume.plant(name, content);
    const std::vector<digest::md5_state> no_states;
    const auto points = digest::waypoints::make(content.size(), 8 * MiB, no_states);
    REQUIRE(points);
    volume.set_attribute(name, "keepstore.waypoints", points->encode(name));
    f.get(content);
    CHECK(f.finish(10s));
    CHECK(f.served() == 1);
    const auto value = volume.attribute(name, "keepstore.waypoints");
    REQUIRE(value);
    const auto stored = digest::waypoints::decode(*value, content.size(), name);
    REQUIRE(stored);
    CHECK(stored->stride() <= limits::segment_bytes_max);
    f.cancel_all();
}
