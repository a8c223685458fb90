/// Volumes that stall: requests that have another volume go on with it, the others wait.

#include "tests/store/store_fixture.hpp"

using namespace keepstore;
using namespace keepstore::store;
using namespace keepstore::test;
using volumes::volume_state;

namespace {

result<void> touch(fixture& f, const md5_digest& name) {
    const auto later = [](block_store& s, md5_digest n) -> awaitable<result<void>> {
        co_return co_await s.block_touch(n, deadline::in(std::chrono::seconds(60)));
    };
    return run(later(f.store, name));
}

}  // namespace

TEST_CASE("volumes that work are read and written first, in their usual order", "[store][stall]") {
    fixture f({{"default"}, {"default"}, {"default"}});
    const auto name = name_of("x");
    const auto order = [&](const auto& mounts) {
        std::string out;
        for (const mount* m : mounts) out += m->uuid.back();
        return out;
    };
    const auto& mounts = f.store.mounts();
    CHECK(order(mounts.in_read_order(name)) == "012");
    f.faulty[0]->plan.states.writes = volume_state::stalled;
    CHECK(order(mounts.in_read_order(name)) == "012");
    CHECK(order(mounts.in_write_order(name)) == "120");
    f.faulty[1]->plan.states = {.reads = volume_state::gone, .writes = volume_state::gone};
    CHECK(order(mounts.in_read_order(name)) == "021");
    CHECK(order(mounts.in_write_order(name)) == "201");
    f.faulty[2]->plan.states.writes = volume_state::slow;
    CHECK(order(mounts.in_write_order(name)) == "201");
}

TEST_CASE("a read that meets a stalled volume goes on with the other copy", "[store][stall]") {
    for (const std::size_t size : {std::size_t{100}, 5 * chunk + 3}) {
        CAPTURE(size);
        fixture f;
        const auto content = make_content(size);
        for (auto& m : f.memory) m->plant(name_of(content), content);
        f.faulty[0]->plan.stalls_reads = true;
        string_sink sink;
        REQUIRE(f.get(name_of(content), size, sink).has_value());
        CHECK(sink.text == content);
        CHECK(f.faulty[0]->waits == 0);
    }
}

TEST_CASE("a read waits for a stalled volume that has the only copy", "[store][stall]") {
    fixture f;
    const auto content = make_content(1000);
    f.memory[0]->plant(name_of(content), content);
    f.faulty[0]->plan.stalls_reads = true;
    f.faulty[0]->end_stall_after_waits = 1;
    string_sink sink;
    REQUIRE(f.get(name_of(content), content.size(), sink).has_value());
    CHECK(sink.text == content);
    CHECK(f.faulty[0]->waits == 1);
}

TEST_CASE("a write that meets a stalled volume goes on with another one", "[store][stall]") {
    for (const std::size_t size : {std::size_t{100}, 5 * chunk + 3}) {
        CAPTURE(size);
        fixture f;
        const auto content = make_content(size);
        f.faulty[0]->plan.stalls_writes = true;
        REQUIRE(f.put(content).has_value());
        CHECK(f.memory[1]->content(name_of(content)) == content);
        CHECK(f.faulty[0]->waits == 0);
    }
}

TEST_CASE("a write that compares with a copy on a stalled volume stores another one", "[store][stall]") {
    fixture f;
    const auto content = make_content(3 * chunk);
    f.memory[0]->plant(name_of(content), content);
    f.faulty[0]->plan.stalls_writes = true;  // It can be compared, and not touched.
    REQUIRE(f.put(content).has_value());
    CHECK(f.memory[1]->content(name_of(content)) == content);
    CHECK(f.store.counters().bad_copies.value() == 0);
}

TEST_CASE("a write waits for a stalled volume if no other one takes the block", "[store][stall]") {
    fixture f;
    const auto content = make_content(2 * chunk);
    f.faulty[0]->plan.stalls_writes = true;
    f.faulty[0]->end_stall_after_waits = 1;
    SECTION("the other one is full when the write arrives there") {
        f.faulty[1]->plan.fail_create = true;
        f.faulty[1]->plan.with = error(errc::no_space);
    }
    SECTION("the other one fails at the end") {
        f.faulty[1]->plan.fail_commit = true;
    }
    SECTION("the other one stalls, too") {
        f.faulty[1]->plan.states = {.reads = volume_state::stalled, .writes = volume_state::stalled};
    }
    REQUIRE(f.put(content).has_value());
    CHECK(f.memory[0]->content(name_of(content)) == content);
    CHECK(f.faulty[0]->waits == 1);
}

TEST_CASE("a write whose beginning only a stalled volume has fails soon", "[store][stall]") {
    fixture f;
    const auto content = make_content(5 * chunk);
    f.faulty[0]->plan.stalls_after = 2 * chunk;
    f.faulty[0]->plan.fail_read_back = true;
    f.faulty[0]->plan.with = errc::unavailable;
    CHECK(f.put(content).error() == errc::unavailable);
    CHECK(f.faulty[0]->waits == 0);
}

TEST_CASE("a volume that refuses every write ends the PUT, also when it is the only one", "[store][stall]") {
    for (const std::size_t volumes : {1U, 2U}) {
        fixture f(std::vector<std::vector<std::string>>(volumes, {"default"}));
        for (auto& v : f.faulty) {
            v->plan.fail_commit = true;
            v->plan.with = errc::unavailable;
        }
        CHECK(f.put(make_content(100)).error() == errc::unavailable);
    }
}

TEST_CASE("a stalled volume that a storage class needs is waited for", "[store][stall]") {
    fixture f({{"fast"}, {"default"}});
    const auto content = make_content(1000);
    f.faulty[0]->plan.stalls_writes = true;
    f.faulty[0]->end_stall_after_waits = 1;
    const auto stored = f.put(content, {"fast", "default"});
    REQUIRE(stored.has_value());
    CHECK(stored->storage_classes == std::map<std::string, int>{{"default", 1}, {"fast", 1}});
    CHECK(f.faulty[0]->waits == 1);
}

TEST_CASE("a touch does not wait for a stalled volume if another one has the block", "[store][stall]") {
    fixture f;
    const auto content = make_content(10);
    f.faulty[0]->plan.stalls_writes = true;
    f.memory[1]->plant(name_of(content), content);
    CHECK(touch(f, name_of(content)).has_value());
    CHECK(f.faulty[0]->waits == 0);
    const auto other = make_content(11);
    f.memory[0]->plant(name_of(other), other);
    f.faulty[0]->end_stall_after_waits = 1;
    CHECK(touch(f, name_of(other)).has_value());
    CHECK(f.faulty[0]->waits == 1);
}
