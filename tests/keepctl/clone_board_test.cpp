#include "keepctl/clone/job_store.hpp"
#include "keepctl/clone/segment_board.hpp"
#include "tests/keepctl/clone_memory_store.hpp"
#include "tests/support/run.hpp"
#include "tests/support/soon.hpp"
#include "tests/support/temp_dir.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <functional>
#include <utility>

using namespace keepstore;
using namespace keepstore::keepctl;
using namespace keepstore::test;
using namespace std::chrono;

namespace {

clone_job job_of(unsigned digits) {
    return {.id = "j", .source = "a", .destination = "b", .digits = digits};
}

segment_board board_of(job_store& store, std::string worker, bool alone = false) {
    return {&store, job_of(1), {.worker = std::move(worker), .alone = alone}};
}

segment_board::taken take(segment_board& board) {
    return run(board.take(soon())).value();
}

segment_report report_of(const std::string& segment, std::uint64_t failed = 0) {
    segment_report out{.segment = segment, .worker = "w"};
    copy_counts& outcomes = out.counts;
    outcomes = {.listed = 5 + failed, .copied = 5, .failed = failed};
    return out;
}

void respond(segment_board& board, const std::string& segment, std::uint64_t failed = 0) {
    auto report = report_of(segment, failed);
    report.worker = board.worker();
    REQUIRE(run(board.respond(report, soon())).has_value());
}

std::string claim_of(std::string worker, seconds until) {
    return encode(segment_claim{.job = "j", .worker = std::move(worker), .until = clone_time_now() + until});
}

void put_claim(job_store& store, const std::string& segment, std::string worker, seconds until) {
    REQUIRE(run(store.swap(claim_file(segment), claim_of(std::move(worker), until), std::nullopt, soon())).value());
}

/// A store that calls a function after each read: for what happens between a read and the write that it leads to.
class watched_job_store final : public job_store {
  public:
    using watcher = std::function<result<void>(const std::string& name)>;

    watched_job_store(job_store& to, watcher after_read) : to_(to), after_read_(std::move(after_read)) {}

    [[nodiscard]] const std::string& where() const noexcept override { return to_.where(); }
    [[nodiscard]] awaitable<result<std::optional<file>>> read(std::string name, deadline until) override {
        auto there = co_await to_.read(name, until);
        KS_CO_CHECK(after_read_(name));
        co_return there;
    }
    [[nodiscard]] awaitable<result<bool>> swap(std::string name, std::string text, std::optional<std::string> version,
                                               deadline until) override {
        return to_.swap(std::move(name), std::move(text), std::move(version), until);
    }

  private:
    job_store& to_;
    const watcher after_read_;
};

/// Until the clock shows another time than before.
void wait_for_a_tick() {
    const auto before = steady_clock::now();
    while (steady_clock::now() == before) {
    }
}

using next = segment_board::next;

}  // namespace

TEST_CASE("workers take each segment once, and see when all are done", "[keepctl][clone]") {
    memory_job_store store;
    auto one = board_of(store, "one");
    auto two = board_of(store, "two");
    std::vector<std::string> all;
    for (int i = 0; i < 8; ++i) {
        for (auto* const board : {&one, &two}) {
            const auto got = take(*board);
            REQUIRE(got.what == next::segment);
            all.push_back(got.digits);
        }
    }
    std::ranges::sort(all);
    CHECK(all.size() == 16);
    CHECK(std::ranges::adjacent_find(all) == all.end());
    CHECK(take(one).what == next::others);
    CHECK_FALSE(run(one.finish(soon())).value().has_value());
    for (int i = 0; i < 16; ++i) respond(i % 2 == 0 ? one : two, all[static_cast<std::size_t>(i)]);
    CHECK(take(one).what == next::none);
    CHECK(take(two).what == next::none);
    const auto result = run(two.finish(soon())).value();
    REQUIRE(result.has_value());
    CHECK(result->counts.copied == 80);
    CHECK(decode_result(store.files.at("result.json").first)->segments == 16);

    auto late = board_of(store, "late");
    CHECK(run(late.load(soon())).value() == 16);
    CHECK(take(late).what == next::none);
}

TEST_CASE("a claim is taken over when it is old, or its process is gone", "[keepctl][clone]") {
    memory_job_store store;
    put_claim(store, "0", "other-host:1:n", seconds(30));
    put_claim(store, "1", "other-host:1:n", -seconds(30));                   // Not for long enough.
    put_claim(store, "2", "other-host:1:n", -limits::clone_claim_time * 2);  // Its time has passed.
    const auto here = worker_name().substr(0, worker_name().find(':'));
    put_claim(store, "3", here + ":999999999:n", seconds(30));  // No such process.
    put_claim(store, "4", here + ":1:n", seconds(30));          // It runs.
    put_claim(store, "5", worker_name(), seconds(30));          // It runs.
    store.files[claim_file("6")] = {"{damaged", 77};
    store.files[claim_file("7")] = {encode(segment_claim{"an earlier job", "x:1:n", clone_time_now()}), 78};
    auto board = board_of(store, "me");
    std::vector<std::string> taken;
    while (true) {
        const auto got = take(board);
        if (got.what != next::segment) break;
        taken.push_back(got.digits);
    }
    CHECK(taken == std::vector<std::string>{"2", "3", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f"});
    // After a kill of the only run there can be, no claim counts.
    auto alone = board_of(store, "me again", true);
    CHECK(take(alone).digits == "0");
}

TEST_CASE("of workers that want a segment at the same moment only one gets it", "[keepctl][clone]") {
    const bool old_claim = GENERATE(false, true);
    const bool in_a_folder = GENERATE(false, true);
    CAPTURE(old_claim, in_a_folder);
    memory_job_store in_memory;
    const temp_dir dir;
    const auto folder = make_local_job_store(dir.path().string()).value();
    job_store& store = in_a_folder ? *folder : static_cast<job_store&>(in_memory);
    if (old_claim) put_claim(store, "0", "other-host:1:n", -hours(1));

    // Both have read the claim file, or that there is none, when the first of them writes.
    auto faster = board_of(store, "faster");
    std::string first;
    watched_job_store watched(store, [&](const std::string& name) {
        if (name == claim_file("0") && first.empty()) first = take(faster).digits;
        return success();
    });
    auto slower = board_of(watched, "slower");
    CHECK(take(slower).digits == "1");
    CHECK(first == "0");
    CHECK(decode_claim(run(store.read(claim_file("0"), soon())).value()->text)->worker == "faster");
}

TEST_CASE("a claim is taken over when it does not change, whatever its time says", "[keepctl][clone]") {
    memory_job_store store;
    put_claim(store, "", "other-host:1:n", hours(1));
    // Twice no time: one look at the clock without a change is enough.
    segment_board board(&store, job_of(0), {.worker = "me", .claim_time = seconds(0)});
    CHECK(take(board).what == next::others);
    wait_for_a_tick();
    store.files.at(claim_file("")).first = claim_of("other-host:1:n", hours(2));  // Renewed.
    CHECK(take(board).what == next::others);
    wait_for_a_tick();
    CHECK(take(board).what == next::segment);
    CHECK(decode_claim(store.files.at(claim_file("")).first)->worker == "me");
}

TEST_CASE("a worker takes what it has claimed without knowing it", "[keepctl][clone]") {
    memory_job_store store;
    put_claim(store, "0", "me", seconds(30));  // The response to the write was lost.
    auto board = board_of(store, "me");
    CHECK(take(board).digits == "0");
}

TEST_CASE("a worker renews the claims on what it works on, and no others", "[keepctl][clone]") {
    memory_job_store store;
    std::function<void()> on_third;
    unsigned looks = 0;
    watched_job_store watched(store, [&](const std::string&) {
        if (on_third && ++looks == 3) on_third();
        return success();
    });
    // A third of it, in whole seconds, is no time.
    segment_board board(&watched, job_of(1), {.worker = "me", .claim_time = seconds(2)});
    for (const auto* const digits : {"0", "1", "2"}) REQUIRE(take(board).digits == digits);
    respond(board, "2");
    const auto mine = claim_of("me", -hours(1));
    const auto theirs = claim_of("other-host:1:n", -hours(1));
    for (const auto& [digits, text] : {std::pair{"0", mine}, {"1", theirs}, {"2", mine}})
        store.files.at(claim_file(digits)).first = text;
    on_third = [&] { board.stop_renewing(); };  // In the second round.
    run(board.renew_claims());
    CHECK(decode_claim(store.files.at(claim_file("0")).first)->until > clone_time_now() - minutes(30));
    CHECK(store.files.at(claim_file("1")).first == theirs);
    CHECK(store.files.at(claim_file("2")).first == mine);
}

TEST_CASE("the claim on a segment that ends while the claim is read is not renewed", "[keepctl][clone]") {
    memory_job_store store;
    segment_board* working = nullptr;
    watched_job_store watched(store, [&](const std::string& name) {
        if (working && name == claim_file("0")) {
            auto& board = *std::exchange(working, nullptr);
            respond(board, "0");
            board.stop_renewing();
        }
        return success();
    });
    segment_board board(&watched, job_of(1), {.worker = "me", .claim_time = seconds(2)});
    REQUIRE(take(board).digits == "0");
    const auto mine = claim_of("me", -hours(1));
    store.files.at(claim_file("0")).first = mine;
    working = &board;
    run(board.renew_claims());
    CHECK(working == nullptr);
    CHECK(store.files.at(claim_file("0")).first == mine);
}

TEST_CASE("a job whose responses cannot be read is not worked on", "[keepctl][clone]") {
    memory_job_store store;
    std::string unreadable = response_file("9");
    watched_job_store watched(store, [&](const std::string& name) -> result<void> {
        if (name == unreadable) return fail(errc::unavailable, "cut");
        return success();
    });
    auto board = board_of(watched, "me");
    CHECK_FALSE(run(board.load(soon())).has_value());
    for (const auto& name : {response_file("0"), claim_file("0")}) {
        unreadable = name;
        CHECK_FALSE(run(board.take(soon())).has_value());
    }
    unreadable.clear();
    CHECK(take(board).digits == "0");  // An error leaves nothing behind.
}

TEST_CASE("failures of an earlier run are tried again, those of this run are not", "[keepctl][clone]") {
    memory_job_store store;
    auto first = board_of(store, "first", true);
    for (int i = 0; i < 16; ++i) {
        const auto got = take(first);
        respond(first, got.digits, got.digits == "7" ? 3 : 0);
    }
    CHECK(take(first).what == next::none);
    auto result = run(first.finish(soon())).value();
    REQUIRE(result.has_value());
    CHECK(result->counts.failed == 3);

    auto second = board_of(store, "second", true);
    CHECK(run(second.load(soon())).value() == 15);
    CHECK(take(second).digits == "7");
    respond(second, "7");
    CHECK(take(second).what == next::none);
    result = run(second.finish(soon())).value();
    REQUIRE(result.has_value());
    CHECK(result->counts.failed == 0);
    CHECK(result->counts.copied == 80);
    // A worker that did the same, with failures, changes nothing.
    respond(first, "7", 1);
    CHECK(run(second.finish(soon())).value()->counts.failed == 0);
    auto later = board_of(store, "later", true);
    CHECK(run(later.load(soon())).value() == 16);
    CHECK(run(later.finish(soon())).value()->counts.failed == 0);
    CHECK(decode_result(store.files.at("result.json").first)->counts.failed == 0);
    // The totals are written once.
    const auto writes = store.writes;
    CHECK(run(first.finish(soon())).value().has_value());
    CHECK(store.writes == writes);
}

TEST_CASE("failures that another worker of this run has had are not tried again", "[keepctl][clone]") {
    memory_job_store store;
    segment_board first(&store, job_of(0), {.worker = "first"});
    respond(first, "", 3);
    segment_board second(&store, job_of(0), {.worker = "second"});
    segment_board third(&store, job_of(0), {.worker = "third"});
    for (auto* const board : {&second, &third}) CHECK(run(board->load(soon())).value() == 0);
    REQUIRE(take(second).what == next::segment);
    CHECK(take(third).what == next::others);
    respond(second, "", 2);
    CHECK(take(third).what == next::none);
    CHECK(run(third.finish(soon())).value()->counts.failed == 2);
}

TEST_CASE("a segment that is given up, and one that is released", "[keepctl][clone]") {
    memory_job_store store;
    auto one = board_of(store, "one");
    const auto first = take(one);
    one.give_up(first.digits);
    CHECK(take(one).digits == "1");
    auto two = board_of(store, "two");
    CHECK(take(two).digits == "2");
    run(one.release_all(soon()));
    CHECK(take(one).digits == "1");
    CHECK(take(two).digits == "0");
    CHECK(take(two).digits == "3");
    // What another worker has taken over is not released.
    const auto theirs = store.files.at(claim_file("0")).first;
    store.files.at(claim_file("1")).first = theirs;
    run(one.release_all(soon()));
    CHECK(store.files.at(claim_file("1")).first == theirs);
}

TEST_CASE("a file of a job is written though others write it at the same time", "[keepctl][clone]") {
    memory_job_store store;
    unsigned others = 3;
    watched_job_store watched(store, [&](const std::string& name) {
        if (others > 0) store.files[name] = {"theirs", 1000 + others--};
        return success();
    });
    const auto keep = [](std::string_view text) { return text == "best"; };
    REQUIRE(run(put_file(watched, "f", "mine", keep, soon())).has_value());
    CHECK(store.files.at("f").first == "mine");
    CHECK(others == 0);
    // What is better is kept, also when it comes after the first look.
    watched_job_store late(store, [&](const std::string& name) {
        store.files[name] = {"best", 2000};
        return success();
    });
    REQUIRE(run(put_file(late, "f", "mine again", keep, soon())).has_value());
    CHECK(store.files.at("f").first == "best");
    // It has an end.
    store.files.clear();
    others = 1000;
    CHECK_FALSE(run(put_file(watched, "f", "mine", keep, soon())).has_value());
    CHECK(others == 1000 - limits::clone_swap_attempts);
}

TEST_CASE("files of another job in the same place are replaced", "[keepctl][clone]") {
    memory_job_store store;
    store.files[response_file("0")] = {encode(report_of("0"), "an earlier job"), 1};
    auto board = board_of(store, "one");
    CHECK(run(board.load(soon())).value() == 0);
    CHECK(take(board).digits == "0");
    respond(board, "0");
    CHECK(decode_report(store.files.at(response_file("0")).first, "j", "0").has_value());

    // Also totals, though they are the same.
    segment_board whole(&store, job_of(0), {.worker = "one"});
    respond(whole, "");
    job_result earlier{.job = "an earlier job", .segments = 1};
    earlier.counts = report_of("").counts;
    store.files["result.json"] = {encode(earlier), 2};
    CHECK(run(whole.finish(soon())).value().has_value());
    CHECK(decode_result(store.files.at("result.json").first)->job == "j");
}

TEST_CASE("a board without a store is for one worker", "[keepctl][clone]") {
    segment_board board(nullptr, job_of(0), {});
    const auto got = take(board);
    CHECK(got.what == next::segment);
    CHECK(got.digits.empty());
    CHECK(take(board).what == next::none);
}
