/// Blocks that are stored and read while volumes fail, clients disconnect, or memory runs out.
#include "base/limits.hpp"
#include "store/lists/trash_worker.hpp"
#include "tests/store/store_fixture.hpp"

using namespace keepstore;
using namespace keepstore::store;
using namespace keepstore::test;
using namespace std::chrono_literals;

namespace {

// Sends a part of its body when it is told to, and then nothing more.
class stalling_source final : public byte_source {
  public:
    stalling_source(std::uint64_t announced, std::size_t sends) : announced_(announced), left_(sends) {}

    std::optional<std::uint64_t> size() const noexcept override { return announced_; }
    awaitable<result<void>> wait_ready() override {
        if (std::exchange(waited_, true) && left_ > 0) co_return result<void>{};
        const bool first = left_ > 0;
        stalled_ = !first;
        co_return co_await (first ? begin_ : rest_).wait();
    }
    awaitable<result<std::size_t>> read_some(std::span<std::byte> into) override {
        const auto count = std::min(into.size(), left_);
        std::ranges::fill(into.first(count), std::byte{7});
        left_ -= count;
        co_return count;
    }
    void begin() { begin_.set({}); }
    [[nodiscard]] bool stalled() const noexcept { return stalled_; }

  private:
    const std::uint64_t announced_;
    std::size_t left_;
    bool waited_ = false;
    bool stalled_ = false;
    one_shot<void> begin_;
    one_shot<void> rest_;
};

}  // namespace

TEST_CASE("a volume that fails in mid-stream is replaced by the next one", "[store][block_store][faults]") {
    const auto content = make_content(6 * chunk + 100);
    for (const std::uint64_t at :
         {std::uint64_t{0}, std::uint64_t{chunk}, std::uint64_t{4 * chunk}, std::uint64_t{6 * chunk + 1}}) {
        CAPTURE(at);
        fixture f;
        f.faulty[0]->plan.fail_append_at = at;
        const auto stored = f.put(content);
        REQUIRE(stored.has_value());
        CHECK_FALSE(f.memory[0]->content(name_of(content)));
        CHECK(f.memory[1]->content(name_of(content)) == content);
    }
    SECTION("and so is a replacement that fails, while it is fed or later") {
        for (const std::uint64_t first : {std::uint64_t{chunk}, std::uint64_t{5 * chunk}}) {
            for (const std::uint64_t second :
                 {std::uint64_t{0}, std::uint64_t{chunk}, first, first + chunk, std::uint64_t{6 * chunk + 1}}) {
                CAPTURE(first, second);
                fixture f({{"default"}, {"default"}, {"default"}});
                f.faulty[0]->plan.fail_append_at = first;
                f.faulty[1]->plan.fail_append_at = second;
                REQUIRE(f.put(content).has_value());
                CHECK_FALSE(f.memory[1]->content(name_of(content)));
                CHECK(f.memory[2]->content(name_of(content)) == content);
            }
        }
    }
    SECTION("and so is a replacement whose commit fails") {
        fixture f({{"default"}, {"default"}, {"default"}});
        f.faulty[0]->plan.fail_commit = f.faulty[1]->plan.fail_commit = true;
        REQUIRE(f.put(content).has_value());
        CHECK(f.memory[2]->content(name_of(content)) == content);
    }
    SECTION("and so is one that does not take the last bytes, after the body has ended") {
        for (const std::uint64_t at : {std::uint64_t{chunk}, std::uint64_t{content.size() - 1}}) {
            CAPTURE(at);
            fixture f({{"default"}, {"default"}, {"default"}});
            f.faulty[0]->plan.fail_commit = true;
            f.faulty[1]->plan.fail_append_at = at;
            REQUIRE(f.put(content).has_value());
            CHECK_FALSE(f.memory[1]->content(name_of(content)));
            CHECK(f.memory[2]->content(name_of(content)) == content);
        }
    }
    SECTION("at commit, from what the failed writer can still read") {
        fixture f;
        f.faulty[0]->plan.fail_commit = true;
        REQUIRE(f.put(content).has_value());
        CHECK(f.memory[1]->content(name_of(content)) == content);
    }
    SECTION("at commit, from the copy on another volume") {
        fixture f({{"a"}, {"b"}, {"a"}});
        f.faulty[0]->plan.fail_commit = true;
        f.faulty[0]->plan.fail_read_back = true;
        const auto stored = f.put(content, {"a", "b"});
        REQUIRE(stored.has_value());
        CHECK(stored->storage_classes == std::map<std::string, int>{{"a", 1}, {"b", 1}});
        CHECK(f.memory[2]->content(name_of(content)) == content);
    }
}

TEST_CASE("when no volume could store the block the error says why", "[store][block_store][faults]") {
    const auto content = make_content(2 * chunk);
    fixture f;
    for (auto& v : f.faulty) {
        v->plan.fail_append_at = chunk;
        v->plan.with = error(errc::no_space);
    }
    CHECK(f.put(content).error() == errc::no_space);
    f.faulty[1]->plan.with = error(errc::io_error);
    CHECK(f.put(content).error() == errc::unavailable);
    for (auto& v : f.faulty) v->plan.fail_create = true;
    CHECK(f.put(content).error() == errc::unavailable);
    CHECK_FALSE(f.memory[0]->content(name_of(content)));
    CHECK_FALSE(f.memory[1]->content(name_of(content)));
}

TEST_CASE("a client that disconnects at any point leaves no file, chunk or block", "[store][block_store][cancel]") {
    const auto content = make_content(4 * chunk + 10);
    for (std::size_t at = 0; at <= content.size(); at += 100'000) {
        CAPTURE(at);
        fixture f;
        string_source source(content);
        source.fail_at = at;
        const auto stored = f.put(std::move(source), name_of(content));
        REQUIRE_FALSE(stored.has_value());
        CHECK(stored.error() == errc::cancelled);
        CHECK_FALSE(f.memory[0]->content(name_of(content)));
    }
    for (std::size_t at = 0; at < content.size(); at += chunk) {
        CAPTURE(at);
        fixture f;
        f.memory[0]->plant(name_of(content), content);
        string_sink sink;
        sink.fail_at = at;
        CHECK(f.get(name_of(content), content.size(), sink).error() == errc::cancelled);
    }
}

TEST_CASE("a volume that does not respond is masked by one that does", "[store][block_store][faults]") {
    fixture f;
    const auto content = make_content(1000);
    f.memory[1]->plant(name_of(content), content);
    f.memory[0]->fail_everything(error(errc::timeout));
    bool complete = false;
    CHECK(reads_right(f, content, &complete));
    CHECK(complete);
    string_sink sink;
    CHECK(f.get(name_of(make_content(5)), 5, sink).error() == errc::timeout);  // Not "not found": that is unknown.
}

TEST_CASE("a trash list acts on the exact copy that it names", "[store][workers]") {
    struct row {
        std::string what;
        std::chrono::hours age;
        std::int64_t mtime_difference;
        std::string mount;
        bool trashed_0;
        bool trashed_1;
    };
    const std::string second = "zzzzz-nyw5e-000000000000001";
    const row rows[] = {
        {"too new", 0h, 0, "", false, false},
        {"old, any mount", 2h, 0, "", true, true},
        {"old, one mount", 2h, 0, second, false, true},
        {"other mtime", 2h, 1, "", false, false},
        {"unknown mount", 2h, 0, "zzzzz-nyw5e-999999999999999", false, false},
    };
    for (const row& r : rows) {
        CAPTURE(r.what);
        fixture f;
        const auto content = make_content(100);
        const auto mtime = memory_volume::now() - r.age;
        f.memory[0]->plant(name_of(content), content, mtime);
        f.memory[1]->plant(name_of(content), content, mtime);
        run(execute_trash_item(f.store, {.locator = name_of(content).hex() + "+100",
                                         .block_mtime = mtime.time_since_epoch().count() + r.mtime_difference,
                                         .mount_uuid = r.mount}));
        CHECK(f.memory[0]->content(name_of(content)).has_value() == !r.trashed_0);
        CHECK(f.memory[1]->content(name_of(content)).has_value() == !r.trashed_1);
        const auto& counted = f.store.counters();
        const std::string what = r.what;
        const bool refused = what == "unknown mount" || what == "too new";
        CHECK(counted.trashed.value() == unsigned{r.trashed_0} + unsigned{r.trashed_1});
        CHECK(counted.trash_refused.value() == (refused ? 1 : 0));
        CHECK(counted.trash_kept.value() == (what == "other mtime" ? 2 : 0));
    }
}

TEST_CASE("chunks of slow uploads that wait to be hashed in lanes are freed when the pool runs dry", "[store][put]") {
    fixture f({{"default"}});
    asio::io_context context(1);
    std::vector<std::unique_ptr<stalling_source>> sources;
    asio::cancellation_signal leave[2];
    int ended = 0;
    const auto upload = [](fixture& at, stalling_source& from) -> awaitable<void> {
        co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
        co_await asio::this_coro::throw_if_cancelled(false);
        const block_write_request request{
            .hash = name_of("none"), .path_text = "", .storage_classes = {}, .token = "", .until = deadline::in(60s)};
        static_cast<void>(co_await at.store.block_write(request, from));
    };
    for (auto& signal : leave) {
        auto& source = *sources.emplace_back(std::make_unique<stalling_source>(20 * MiB, 8 * chunk));
        spawn(context.get_executor(), upload(f, source), signal.slot(), [&ended](std::exception_ptr) { ++ended; });
    }
    context.run_for(1ms);
    for (const auto& source : sources) source->begin();
    REQUIRE(turn_until(context, [&] { return sources[0]->stalled() && sources[1]->stalled(); }));
    CHECK(f.pool.snapshot().in_use_bytes == 16 * chunk);

    std::vector<mutable_slice> taken;
    while (auto one = f.pool.try_acquire()) taken.push_back(std::move(*one));
    bool served = false;
    spawn(context.get_executor(), [](pool::buffer_pool& from, bool& got) -> awaitable<void> {
        got = (co_await from.acquire(deadline::in(60s))).has_value();
    }(f.pool, served));
    CHECK(turn_until(context, [&] { return served; }));
    taken.clear();
    for (auto& signal : leave) signal.emit(asio::cancellation_type::total);
    CHECK(turn_until(context, [&] { return ended == 2; }));
}
