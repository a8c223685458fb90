#include "keepctl/commands/replicate_progress.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::keepctl;

namespace {

replicate_progress half_way() {
    replicate_progress now{.shards_done = 64, .shards_total = 256, .seconds = 60};
    copy_counts& outcomes = now.counts;
    outcomes = {.listed = 1'204'331, .copied = 18'220, .failed = 3, .bytes = 60 * 1024 * 1024};
    now.counts.planned = 18'252;
    now.counts.planned_bytes = 90 * 1024 * 1024;
    return now;
}

}  // namespace

TEST_CASE("progress is one line, totals that grow are lower bounds", "[keepctl][progress]") {
    auto now = half_way();
    CHECK(to_line(now) ==
          "replicate  shard 64/256  25%  1,204,331 looked at  18,220 of >=18,252 copied 60.0 MiB  3 failed  1.0 MiB/s  "
          "ETA 3m");
    now.all_planned = true;
    CHECK(to_line(now) ==
          "replicate  shard 64/256  25%  1,204,331 looked at  18,220 of 18,252 copied 60.0 MiB  3 failed  1.0 MiB/s  "
          "ETA 30s");
}

TEST_CASE("there is no ETA before a part of the work is done", "[keepctl][progress]") {
    auto now = half_way();
    for (const std::size_t done : {0u, 1u, 4u}) {
        now.shards_done = done;
        CHECK(to_line(now).find("ETA") == std::string::npos);
        CHECK(to_json(now).ends_with("\"eta_seconds\":null}"));
    }
    now.shards_done = 5;
    CHECK(to_line(now).ends_with("ETA 51m"));
    // Shards of an earlier run say nothing about this one.
    now.shards_before = 5;
    CHECK(to_line(now).find("ETA") == std::string::npos);
    now.shards_done = 130;
    now.shards_before = 128;
    CHECK(to_line(now).ends_with("ETA 1h03m"));
}
