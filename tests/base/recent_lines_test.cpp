#include "base/recent_lines.hpp"

#include "base/log.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

using namespace keepstore;

TEST_CASE("the newest lines are kept, the newest first", "[base][log]") {
    recent_lines ring(3);
    for (int i = 0; i < 5; ++i) ring.add({.level = "error", .message = std::to_string(i)});
    std::vector<std::string> seen;
    for (const auto& line : ring.snapshot()) seen.push_back(line.message);
    CHECK(seen == std::vector<std::string>{"4", "3", "2"});
    CHECK(ring.total() == 5);
}

TEST_CASE("texts of any length take bounded memory, and are cut between characters", "[base][log]") {
    recent_lines ring(1);
    ring.add({.level = "error",
              .request_id = std::string(1000, 'i'),
              .message = "x" + std::string(5000, 'y'),
              .details = std::string(limits::recent_line_text_bytes_max - 1, 'z') + "\u00e9\u00e9"});
    const auto line = ring.snapshot().at(0);
    CHECK(line.request_id == std::string(limits::recent_line_id_bytes_max, 'i') + "\u2026");
    CHECK(line.message == "x" + std::string(limits::recent_line_text_bytes_max - 1, 'y') + "\u2026");
    CHECK(line.details == std::string(limits::recent_line_text_bytes_max - 1, 'z') + "\u2026");
}

TEST_CASE("warnings and errors of the log are kept with the id of their request", "[base][log]") {
    const auto before = log::recent().total();
    log::info("an ordinary event", {{"RequestID", "req-0"}});
    log::warning("a recent warning", {{"RequestID", "req-1"}, {"mount", "zzzzz"}, {"offset", 7}, {"text", "a b"}});
    log::error("a recent error");
    CHECK(log::recent().total() == before + 2);
    const auto lines = log::recent().snapshot();
    REQUIRE(lines.size() >= 2);
    CHECK(lines[0].message == "a recent error");
    CHECK(lines[0].level == "error");
    CHECK(lines[0].request_id.empty());
    CHECK(lines[1].message == "a recent warning");
    CHECK(lines[1].level == "warning");
    CHECK(lines[1].request_id == "req-1");
    CHECK(lines[1].details == "mount=zzzzz offset=7 text=\"a b\"");
}

TEST_CASE("lines that the log level drops are not kept", "[base][log]") {
    const auto before = log::recent().total();
    log::configure({.threshold = log::level::error});
    log::warning("a dropped warning");
    log::configure({});
    CHECK(log::recent().total() == before);
}

TEST_CASE("threads may add lines while others read them", "[base][log]") {
    recent_lines ring(8);
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 4; ++t)
            threads.emplace_back([&] {
                for (int i = 0; i < 2000; ++i) ring.add({.level = "error", .message = std::string(100, 'm')});
            });
        for (int i = 0; i < 200; ++i) CHECK(ring.snapshot().size() <= 8);
    }
    CHECK(ring.total() == 8000);
}
