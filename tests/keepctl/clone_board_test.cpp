#include "keepctl/clone/segment_board.hpp"
#include "tests/keepctl/clone_memory_store.hpp"
#include "tests/support/run.hpp"
#include "tests/support/soon.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <random>

using namespace keepstore;
using namespace keepstore::keepctl;
using namespace keepstore::test;
using namespace std::chrono;

namespace {

clone_job job_of(unsigned digits) {
    return {.id = "j", .source = "a", .destination = "b", .digits = digits};
}

segment_board board_of(memory_job_store& store, std::string worker, bool alone = false) {
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

void put_claim(memory_job_store& store, const std::string& segment, std::string worker, seconds until) {
    const auto text = encode(segment_claim{.job = "j", .worker = std::move(worker), .until = clone_time_now() + until});
    static_cast<void>(run(store.create(claim_file(segment), text, soon())));
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

TEST_CASE("two workers that see the same old claim do not both get it", "[keepctl][clone]") {
    memory_job_store store;
    put_claim(store, "0", "other-host:1:n", -hours(1));
    auto one = board_of(store, "one");
    auto two = board_of(store, "two");
    const auto a = take(one);
    const auto b = take(two);
    CHECK(a.digits == "0");
    CHECK(b.digits == "1");
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
}

TEST_CASE("a segment that is given up, and one that is released", "[keepctl][clone]") {
    memory_job_store store;
    auto one = board_of(store, "one");
    const auto first = take(one);
    one.give_up(first.digits);
    CHECK(take(one).digits == "1");
    auto two = board_of(store, "two");
    CHECK(take(two).digits == "2");
    run([](segment_board& board) -> awaitable<void> { co_await board.release_all(soon()); }(one));
    CHECK(take(two).digits == "0");
    CHECK(take(two).digits == "1");
}

TEST_CASE("files of another job in the same place are replaced", "[keepctl][clone]") {
    memory_job_store store;
    store.files[response_file("0")] = {encode(report_of("0"), "an earlier job"), 1};
    auto board = board_of(store, "one");
    CHECK(run(board.load(soon())).value() == 0);
    CHECK(take(board).digits == "0");
    respond(board, "0");
    CHECK(decode_report(store.files.at(response_file("0")).first, "j", "0").has_value());
}

TEST_CASE("a board without a store is for one worker", "[keepctl][clone]") {
    segment_board board(nullptr, job_of(0), {});
    const auto got = take(board);
    CHECK(got.what == next::segment);
    CHECK(got.digits.empty());
    CHECK(take(board).what == next::none);
}
