// The compare-and-swap of latest.json (docs/snapshots.md), against a store with faults.
#include "keepctl/snapshot/repository.hpp"

#include "tests/keepctl/snapshot/memory_store.hpp"
#include "tests/support/run.hpp"

#include <catch2/catch.hpp>

#include <chrono>

using namespace keepstore;
using namespace keepstore::keepctl;
using namespace keepstore::keepctl::test;
using namespace std::chrono_literals;
using fault = memory_store::fault;

namespace {

constexpr repository::swap_times quick{.pause_max = 1ms, .unknown_max = 40s};
/// For a state that stays unknown: time for many attempts.
constexpr repository::swap_times soon_over{.pause_max = 1ms, .unknown_max = 1s};

struct swap_rig {
    memory_store store;
    std::vector<std::string> notes;
    repository::swap_times times = quick;
    repository repo{store, [this](std::string_view text) { notes.emplace_back(text); }, times};

    explicit swap_rig(repository::swap_times t = quick) : times(t) {
        REQUIRE(run_to_value(repo.init("zzzzz")));
        store.swaps = 0;
    }
    /// Another process with the same repository.
    [[nodiscard]] repository other() {
        repository out(store, [](std::string_view) {}, quick);
        REQUIRE(run_to_value(out.open()));
        REQUIRE(run_to_value(out.set_clock()));
        return out;
    }
};

snapshot_id id_of(std::uint64_t number) {
    return snapshot_id::make(std::chrono::sys_seconds(1'800'000'000s), fmt::format("{:016x}", number));
}

/// Lists a snapshot, once.
repository::edit_function listing(snapshot_id id, unsigned* calls = nullptr) {
    return [id, calls](latest_document& latest) -> awaitable<outcome<bool>> {
        if (calls) ++*calls;
        if (latest.find(id)) co_return false;
        ++latest.sequence;
        latest.snapshots.insert(latest.snapshots.begin(), {.id = id,
                                                           .sequence = latest.sequence,
                                                           .listed_at = std::chrono::sys_seconds(0s),
                                                           .metadata_sha256 = std::string(64, 'a')});
        co_return true;
    };
}

}  // namespace

TEST_CASE("a change is made once, whatever becomes of the answer", "[keepctl][snapshot][swap]") {
    const auto faults = GENERATE(std::deque<fault>{}, std::deque{fault::lost_answer}, std::deque{fault::no_effect},
                                 std::deque{fault::lost}, std::deque{fault::no_effect, fault::lost_answer},
                                 std::deque{fault::lost, fault::no_effect, fault::lost, fault::lost_answer});
    swap_rig r;
    r.store.faults = faults;
    bool attempted = false;
    const auto end = run_to_value(r.repo.change(listing(id_of(1)), attempted));
    REQUIRE(end);
    CHECK(attempted);
    CHECK(end->snapshots.size() == 1);
    const auto listed = r.store.latest();
    REQUIRE(listed.snapshots.size() == 1);
    CHECK(listed.snapshots[0].id == id_of(1));
    CHECK(listed.sequence == 1);
    CHECK_FALSE(listed.writer.empty());
    CHECK(listed.written_at == r.repo.now());
}

TEST_CASE("what is listed already needs no swap", "[keepctl][snapshot][swap]") {
    swap_rig r;
    bool attempted = false;
    REQUIRE(run_to_value(r.repo.change(listing(id_of(1)), attempted)));
    attempted = false;
    r.store.swaps = 0;
    CHECK(run_to_value(r.repo.change(listing(id_of(1)), attempted)));
    CHECK_FALSE(attempted);
    CHECK(r.store.swaps == 0);
}

TEST_CASE("the change of another process is kept, and comes first", "[keepctl][snapshot][swap]") {
    swap_rig r;
    auto other = r.other();
    bool attempted = false;
    bool others_attempt = false;
    unsigned calls = 0;
    r.store.before_swap = [&] { REQUIRE(run_to_value(other.change(listing(id_of(2)), others_attempt))); };
    const auto end = run_to_value(r.repo.change(listing(id_of(1), &calls), attempted));
    REQUIRE(end);
    CHECK(calls == 2);
    REQUIRE(end->snapshots.size() == 2);
    CHECK(end->snapshots[0].id == id_of(1));
    CHECK(end->snapshots[0].sequence == 2);
    CHECK(end->snapshots[1].id == id_of(2));
}

TEST_CASE("a race that is lost each time is a conflict", "[keepctl][snapshot][swap]") {
    swap_rig r;
    r.store.faults = {fault::lost};
    r.store.last_fault_stays = true;
    bool attempted = false;
    const auto end = run_to_value(r.repo.change(listing(id_of(1)), attempted));
    REQUIRE_FALSE(end);
    CHECK(end.error().code == exit_code::conflict);
    CHECK(attempted);
    CHECK(r.store.swaps == limits::swap_attempts_max);
}

TEST_CASE("what is not known for too long is said to be unknown", "[keepctl][snapshot][swap]") {
    swap_rig r(soon_over);
    r.store.faults = {fault::no_effect};
    r.store.last_fault_stays = true;
    bool attempted = false;
    const auto before = std::chrono::steady_clock::now();
    const auto end = run_to_value(r.repo.change(listing(id_of(1)), attempted));
    const auto time = std::chrono::steady_clock::now() - before;
    REQUIRE_FALSE(end);
    CHECK(end.error().code == exit_code::not_finished);
    CHECK(end.error().text.find("unknown whether") != std::string::npos);
    CHECK(attempted);
    CHECK(time >= soon_over.unknown_max);
    // More attempts than a lost race has: these do not count.
    CHECK(r.store.swaps > limits::swap_attempts_max);
    CHECK(r.store.latest().snapshots.empty());
}

TEST_CASE("a service that cannot be read is asked again while it is not known", "[keepctl][snapshot][swap]") {
    swap_rig r(soon_over);
    r.store.faults = {fault::lost_answer};
    unsigned failures = 0;
    r.store.read_fails = [&](const std::string& key) {
        return key == latest_key && r.store.swaps > 0 && ++failures <= 5;
    };
    bool attempted = false;
    REQUIRE(run_to_value(r.repo.change(listing(id_of(1)), attempted)));
    CHECK(failures == 6);
    CHECK(r.store.swaps == 1);
    CHECK(r.store.latest().snapshots.size() == 1);

    // But not for ever, and not at all before anything was sent.
    r.store.faults = {fault::no_effect};
    failures = 0;
    r.store.read_fails = [&](const std::string& key) { return key == latest_key && r.store.swaps > 1; };
    const auto end = run_to_value(r.repo.change(listing(id_of(2)), attempted));
    REQUIRE_FALSE(end);
    CHECK(end.error().code == exit_code::not_finished);
    r.store.read_fails = [&](const std::string& key) { return key == latest_key && ++failures > 0; };
    attempted = false;
    CHECK_FALSE(run_to_value(r.repo.change(listing(id_of(2)), attempted)));
    CHECK(failures == 1);
    CHECK_FALSE(attempted);
}

TEST_CASE("an error after which nothing has changed ends the change", "[keepctl][snapshot][swap]") {
    swap_rig r;
    r.store.faults = {fault::refused};
    bool attempted = false;
    const auto end = run_to_value(r.repo.change(listing(id_of(1)), attempted));
    REQUIRE_FALSE(end);
    CHECK(end.error().code == exit_code::unreachable);
    CHECK(attempted);
    CHECK(r.store.swaps == 1);
}

TEST_CASE("nothing is written where latest.json was and is gone", "[keepctl][snapshot][swap]") {
    swap_rig r;
    bool attempted = false;
    SECTION("before the change") {
        REQUIRE(run_to_value(r.repo.change(listing(id_of(1)), attempted)));
        r.store.files.erase(std::string(latest_key));
    }
    SECTION("between reading and writing") {
        r.store.before_swap = [&] { r.store.files.erase(std::string(latest_key)); };
    }
    SECTION("and another process has never seen it") {
        r.store.put("snapshots/20261121T031500Z-7f3a9c2e51d04b68/index.kinv", "x");
        r.store.files.erase(std::string(latest_key));
        auto other = r.other();
        const auto end = run_to_value(other.change(listing(id_of(2)), attempted));
        REQUIRE_FALSE(end);
        CHECK(end.error().code == exit_code::some_failed);
    }
    const auto end = run_to_value(r.repo.change(listing(id_of(2)), attempted));
    REQUIRE_FALSE(end);
    CHECK(end.error().code == exit_code::some_failed);
    CHECK(end.error().text.find("damaged or removed") != std::string::npos);
    CHECK_FALSE(r.store.files.contains(std::string(latest_key)));
}

TEST_CASE("an edit that refuses sends no swap", "[keepctl][snapshot][swap]") {
    swap_rig r;
    bool attempted = false;
    const auto end = run_to_value(r.repo.change(
        [](latest_document&) -> awaitable<outcome<bool>> { co_return refuse(exit_code::refused, "no"); }, attempted));
    REQUIRE_FALSE(end);
    CHECK(end.error().code == exit_code::refused);
    CHECK_FALSE(attempted);
    CHECK(r.store.swaps == 0);
}

TEST_CASE("latest.json does not grow beyond what is read back", "[keepctl][snapshot][swap]") {
    swap_rig r;
    bool attempted = false;
    const auto end = run_to_value(r.repo.change(
        [](latest_document& latest) -> awaitable<outcome<bool>> {
            latest.unknown = R"({"later":")" + std::string(limits::latest_bytes_max, 'x') + "\"}";
            co_return true;
        },
        attempted));
    REQUIRE_FALSE(end);
    CHECK(end.error().code == exit_code::refused);
    CHECK_FALSE(attempted);
}

TEST_CASE("a repository is made once, and only in an empty place", "[keepctl][snapshot]") {
    memory_store store;
    repository repo(store, [](std::string_view) {}, quick);
    store.put("other", "x");
    const auto refused = run_to_value(repo.init("zzzzz"));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == exit_code::usage);
    CHECK(store.files.size() == 1);
    store.files.clear();
    CHECK(run_to_value(repo.open()).error().code == exit_code::usage);

    REQUIRE(run_to_value(repo.init("zzzzz")));
    const auto first = repo.identity().repository;
    CHECK(repo.identity().cluster == "zzzzz");
    CHECK(store.latest().sequence == 0);
    CHECK(store.unfinished_before == repo.now() - limits::orphan_age);
    repository again(store, [](std::string_view) {}, quick);
    REQUIRE(run_to_value(again.init("xxxxx")));
    CHECK(again.identity().repository == first);
    CHECK(again.identity().cluster == "zzzzz");
    // After a crash between its two files.
    store.files.erase(std::string(latest_key));
    repository third(store, [](std::string_view) {}, quick);
    REQUIRE(run_to_value(third.init("zzzzz")));
    CHECK(store.files.contains(std::string(latest_key)));
}

TEST_CASE("files that are damaged, of the future or of another repository are told apart", "[keepctl][snapshot]") {
    swap_rig r;
    const auto key = std::string(latest_key);
    const auto good = r.store.files.at(key).text;
    const auto code_of = [&](std::string text) {
        r.store.put(key, std::move(text));
        const auto read = run_to_value(r.repo.latest());
        REQUIRE_FALSE(read);
        return read.error().code;
    };
    CHECK(code_of("{") == exit_code::some_failed);
    auto future = good;
    future.replace(future.find("latest-1"), 8, "latest-2");
    CHECK(code_of(future) == exit_code::usage);
    auto foreign = good;
    const auto at = foreign.find(r.repo.identity().repository);
    foreign[at] = foreign[at] == '0' ? '1' : '0';
    CHECK(code_of(foreign) == exit_code::some_failed);
}

TEST_CASE("a clock that differs is said once it is read", "[keepctl][snapshot]") {
    swap_rig r;
    r.notes.clear();
    const auto ours = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    r.store.clock = ours - 4min;
    REQUIRE(run_to_value(r.repo.set_clock()));
    CHECK(r.notes.empty());
    r.store.clock = ours + 6min;
    REQUIRE(run_to_value(r.repo.set_clock()));
    REQUIRE(r.notes.size() == 1);
    CHECK(r.notes[0].find("behind") != std::string::npos);
    CHECK(r.repo.now() >= r.store.clock);
    CHECK(r.repo.now() <= r.store.clock + 5s);
}
