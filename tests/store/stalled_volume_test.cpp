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

// A client that sends a body. After the first three chunks all memory that is free is taken by others, for good.
class late_source final : public byte_source {
  public:
    late_source(std::string text, pool::buffer_pool& pool) : text_(std::move(text)), pool_(pool) {}
    std::vector<mutable_slice> taken;

    std::optional<std::uint64_t> size() const noexcept override { return text_.size(); }
    awaitable<result<void>> wait_ready() override {
        if (at_ < 3 * chunk || !taken.empty()) co_return result<void>{};
        while (auto piece = pool_.try_acquire()) taken.push_back(std::move(*piece));
        co_return result<void>{};
    }
    awaitable<result<std::size_t>> read_some(std::span<std::byte> into) override {
        const std::size_t count = std::min(into.size(), text_.size() - at_);
        std::memcpy(into.data(), text_.data() + at_, count);
        at_ += count;
        co_return count;
    }

  private:
    const std::string text_;
    pool::buffer_pool& pool_;
    std::size_t at_ = 0;
};

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

TEST_CASE("a small body that only a stalled volume has the beginning of goes to another one", "[store][stall][kept]") {
    constexpr std::size_t budget = 64 * MiB;
    for (const bool announced : {true, false}) {
        for (const std::size_t size : {chunk + 1, 5 * chunk, limits::kept_body_bytes_max}) {
            CAPTURE(announced, size);
            fixture f({{"default"}, {"default"}}, budget, budget);
            const auto content = make_content(size);
            f.faulty[0]->plan.stalls_after = chunk;
            f.faulty[0]->plan.fail_read_back = true;
            REQUIRE(f.put(string_source(content, announced), name_of(content)).has_value());
            CHECK(f.memory[1]->content(name_of(content)) == content);
            CHECK(f.faulty[0]->waits == 0);
        }
        // A larger one is not kept, and neither is one for which there is no memory.
        for (const auto& [size, kept] :
             {std::pair(limits::kept_body_bytes_max + 1, budget), std::pair(5 * chunk, 4 * chunk)}) {
            CAPTURE(announced, size);
            fixture f({{"default"}, {"default"}}, budget, kept);
            const auto content = make_content(size);
            f.faulty[0]->plan.stalls_after = size - 1;
            f.faulty[0]->plan.fail_read_back = true;
            CHECK(f.put(string_source(content, announced), name_of(content)).error() == errc::unavailable);
        }
    }
}

TEST_CASE("a body that is kept is given up before its PUT waits for memory", "[store][memory][kept]") {
    constexpr std::size_t budget = 64 * MiB;
    fixture f({{"default"}, {"default"}}, budget, budget);
    const auto content = make_content(7 * chunk);
    late_source source(content, f.pool);
    const block_write_request request{.hash = name_of(content),
                                      .path_text = name_of(content).hex(),
                                      .storage_classes = {},
                                      .token = "",
                                      .until = deadline::in(std::chrono::seconds(10))};
    const auto later = [](block_store& s, const block_write_request& r,
                          byte_source& body) -> awaitable<result<block_write_response>> {
        co_return co_await s.block_write(r, body);
    };
    REQUIRE(run(later(f.store, request, source)).has_value());
    CHECK(f.memory[0]->content(name_of(content)) == content);
    CHECK_FALSE(source.taken.empty());
}

TEST_CASE("a write that compares with a copy that stalls in mid-block goes on with another copy", "[store][stall]") {
    fixture f;
    const auto content = make_content(12 * chunk + 7);
    const auto name = name_of(content);
    f.memory[0]->plant(name, content);
    f.faulty[0]->plan.stalls_reads_after = 5 * chunk;
    SECTION("that is good: it is touched") {
        f.memory[1]->plant(name, content);
        REQUIRE(f.put(content).has_value());
        CHECK(f.faulty[1]->touches == 1);
        CHECK(f.faulty[1]->appends == 0);
    }
    SECTION("that differs later: the rest of it is replaced") {
        f.memory[1]->plant(name, flipped(content, 9 * chunk));
        REQUIRE(f.put(content).has_value());
        CHECK(f.memory[1]->content(name) == content);
    }
    SECTION("that differs before: it is not taken for the body") {
        f.memory[1]->plant(name, flipped(content, 2 * chunk));
        CHECK(f.put(content).error() == errc::unavailable);
        CHECK(f.faulty[1]->touches == 0);
    }
    SECTION("when it is touched") {
        f.faulty[0]->plan = {.stalls_writes = true};
        f.memory[1]->plant(name, content);
        REQUIRE(f.put(content).has_value());
        CHECK(f.faulty[1]->touches == 1);
        CHECK(f.faulty[1]->appends == 0);
    }
    SECTION("when it is touched, and that copy is longer") {
        f.faulty[0]->plan = {.stalls_writes = true};
        f.memory[1]->plant(name, content + "x");
        REQUIRE(f.put(content).has_value());
        CHECK(f.memory[1]->content(name) == content);
    }
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
