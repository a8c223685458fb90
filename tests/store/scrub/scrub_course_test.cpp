/// The course of a scrub: it can stop anywhere and go on, keeps to its rate, gives up on a broken volume, and comes
/// again.

#include "store/limits.hpp"
#include "tests/store/scrub/scrub_fixture.hpp"

#include <catch2/catch.hpp>

#include <thread>

using namespace keepstore;
using namespace keepstore::store;
using namespace keepstore::test;
using namespace keepstore::test::scrubbing;
using namespace std::chrono_literals;
using fixture = keepstore::test::scrubbing::scrub_fixture;

TEST_CASE("a stopped scrub goes on from its position", "[store][scrub]") {
    fixture f({{}});
    std::vector<md5_digest> names;
    for (unsigned i = 0; i < 200; ++i) {
        const std::string c = make_content(100, i + 1);
        names.push_back(name_of(c));
        f.volumes[0]->inner.plant(names.back(), c);
    }
    std::ranges::sort(names);
    auto& v = *f.volumes[0];
    int opened = 0;
    v.on_open = [&](const md5_digest&) {
        if (++opened == 100) CHECK(f.scrub->stop("").has_value());
    };
    f.make();
    const auto first = f.pass();
    v.on_open = nullptr;
    CHECK(first.state == scrub_state::stopped);
    CHECK(first.position > 500);
    CHECK(first.position < 3500);
    CHECK(first.pass.blocks >= 90);
    CHECK(first.pass.blocks < 200);
    const auto saved = scrub_checkpoint::decode(v.notes["keepstore.scrub"]);
    REQUIRE(saved);
    CHECK(saved->position == first.position);
    CHECK_FALSE(saved->interrupted);

    SECTION("when asked") {}
    SECTION("by the next process") {
        f.make();
    }
    const auto second = f.pass();
    CHECK(second.state == scrub_state::finished);
    CHECK(second.started == first.started);
    CHECK(second.pass.blocks >= 200);
    CHECK(second.pass.blocks < 200 + limits::scrub_blocks_max);
    for (const auto& n : names) CHECK(v.opens[n] >= 1);
    for (std::size_t i = 0; i < 60; ++i) CHECK(v.opens[names[i]] == 1);  // Not again.

    f.make();
    const auto third = f.pass();
    CHECK(third.pass.blocks == 200);
    CHECK(third.started != first.started);
}

TEST_CASE("a fresh scrub begins anew even where another one was stopped", "[store][scrub]") {
    fixture f({{}});
    for (unsigned i = 0; i < 50; ++i) {
        const std::string c = make_content(100, i + 1);
        f.volumes[0]->inner.plant(name_of(c), c);
    }
    int opened = 0;
    f.volumes[0]->on_open = [&](const md5_digest&) {
        if (++opened == 25) CHECK(f.scrub->stop("").has_value());
    };
    f.make();
    const auto first = f.pass();
    CHECK(first.state == scrub_state::stopped);
    f.volumes[0]->on_open = nullptr;
    const auto second = f.pass(0, {.fresh = true});
    CHECK(second.state == scrub_state::finished);
    CHECK(second.pass.blocks == 50);
    CHECK(second.started != first.started);
}

TEST_CASE("a scrub that the end of the process cut short goes on by itself", "[store][scrub]") {
    fixture f({{}});
    for (unsigned i = 0; i < 100; ++i) {
        const std::string c = make_content(100, i + 1);
        f.volumes[0]->inner.plant(name_of(c), c);
    }
    auto& v = *f.volumes[0];
    int opened = 0;
    v.on_open = [&](const md5_digest&) { f.kill_now = ++opened >= 50; };
    // Slow enough for the end to come in the middle.
    v.on_read = [](const md5_digest&) { std::this_thread::sleep_for(200us); };
    f.make();
    const auto first = f.pass();
    v.on_open = nullptr;
    f.kill_now = false;
    CHECK(first.state == scrub_state::stopped);
    const auto saved = scrub_checkpoint::decode(v.notes["keepstore.scrub"]);
    REQUIRE(saved);
    CHECK(saved->interrupted);
    CHECK(saved->position > 0);

    f.make({.interval = 0ns, .rate = 0, .start_delay = 0ns});
    f.restored_ = std::nullopt;
    const auto second = run(f.drive(0, false, {}), 60s);
    CHECK(second.state == scrub_state::finished);
    CHECK(second.pass.blocks >= 100);
    CHECK(second.pass.blocks < 100 + limits::scrub_blocks_max);
    CHECK(second.started == first.started);
}

TEST_CASE("a volume that saves no checkpoint is scrubbed all the same", "[store][scrub]") {
    fixture f({{}});
    f.volumes[0]->keeps_notes = false;
    const std::string c = make_content(100);
    f.volumes[0]->inner.plant(name_of(c), c);
    CHECK(f.pass().state == scrub_state::finished);
}

TEST_CASE("a volume that does not respond ends the pass with a reason, after a bounded number of attempts",
          "[store][scrub]") {
    fixture f({{}});
    const std::string c = make_content(100);
    f.volumes[0]->inner.plant(name_of(c), c);
    SECTION("at the listing") {
        f.volumes[0]->index_error = error(errc::timeout, "volume does not respond");
        const auto s = f.pass();
        CHECK(s.state == scrub_state::failed);
        CHECK_THAT(s.reason, Catch::Contains("cannot be listed") && Catch::Contains("does not respond"));
        f.volumes[0]->index_error.reset();
    }
    SECTION("at a block") {
        f.volumes[0]->on_open = [&](const md5_digest&) {
            f.volumes[0]->inner.fail_everything(error(errc::unavailable, "volume does not respond"));
        };
        const auto s = f.pass();
        CHECK(s.state == scrub_state::failed);
        CHECK_THAT(s.reason, Catch::Contains("does not respond"));
        CHECK(f.volumes[0]->opens[name_of(c)] == static_cast<int>(limits::scrub_attempts_max));
        CHECK(s.pass.unreadable == 0);
        f.volumes[0]->inner.fail_everything(std::nullopt);
        f.volumes[0]->on_open = nullptr;
    }
    CHECK(f.clock.slept >= 10s);
    CHECK(f.pass().state == scrub_state::finished);
}

TEST_CASE("a volume that does not respond for a moment only delays a scrub", "[store][scrub]") {
    fixture f({{}});
    const std::string c = make_content(100);
    f.volumes[0]->inner.plant(name_of(c), c);
    f.volumes[0]->on_open = [&](const md5_digest&) {
        const bool late = f.volumes[0]->opens[name_of(c)] > 2;
        f.volumes[0]->inner.fail_everything(late ? std::nullopt : std::optional(error(errc::timeout)));
    };
    const auto s = f.pass();
    CHECK(s.state == scrub_state::finished);
    CHECK(s.pass.blocks == 1);
    CHECK(s.pass.unreadable == 0);
}

TEST_CASE("a disk of which nothing can be read is a broken volume, not many broken blocks", "[store][scrub]") {
    fixture f({{}});
    for (unsigned i = 0; i < 200; ++i) {
        const std::string c = make_content(100, i + 1);
        f.volumes[0]->inner.plant(name_of(c), c);
        f.volumes[0]->unreadable.insert(name_of(c));
    }
    const auto s = f.pass();
    CHECK(s.state == scrub_state::failed);
    CHECK_THAT(s.reason, Catch::Contains("cannot be read"));
    CHECK(s.pass.unreadable <= limits::scrub_unreadable_in_a_row_max + limits::scrub_blocks_max);
}

TEST_CASE("a scrub reads no faster than its rate", "[store][scrub]") {
    fixture f({{}});
    std::uint64_t total = 0;
    for (unsigned i = 0; i < 12; ++i) {
        const std::string c = make_content(1 * MiB, i + 1);
        total += c.size();
        f.volumes[0]->inner.plant(name_of(c), c);
    }
    f.make({.interval = 0ns, .rate = 1 * MiB});
    const auto s = f.pass();
    CHECK(s.pass.bytes == total);
    const double seconds = std::chrono::duration<double>(f.clock.slept).count();
    // All readers sleep at the same time, and no later read waits for the last one's bytes.
    CHECK(seconds > 10.5);
    const auto faster = f.pass(0, {.rate = std::uint64_t{0}});
    CHECK(faster.rate_limit == 0);
    CHECK(std::chrono::duration<double>(f.clock.slept).count() == Approx(seconds));
}

TEST_CASE("mounts of one device are scrubbed once, by the one that may repair", "[store][scrub]") {
    fixture f({{.writable = false, .device = 0}, {.writable = true, .device = 0}, {.writable = true, .device = 1}});
    auto& s = f.make();
    CHECK(s.task_count() == 2);
    const auto all = s.status().value();
    CHECK(all[0].mount == "zzzzz-nyw5e-000000000000001");
    CHECK(all[0].same_device == std::vector<std::string>{"zzzzz-nyw5e-000000000000000"});
    CHECK(all[1].same_device.empty());
    CHECK(s.status("zzzzz-nyw5e-000000000000000").value().at(0).mount == "zzzzz-nyw5e-000000000000001");
    CHECK(s.status("zzzzz-nyw5e-000000000000009").error() == errc::not_found);
    CHECK(s.start({.mount = "nonsense"}).error() == errc::not_found);
    CHECK(s.stop("nonsense").error() == errc::not_found);
}

TEST_CASE("a scrub that is never asked for and has no interval does not run", "[store][scrub]") {
    fixture f({{}});
    f.make();
    const auto s = f.scrub->status().value().at(0);
    CHECK(s.state == scrub_state::starting);
    CHECK_FALSE(s.next_due);
}

TEST_CASE("with an interval a scrub begins by itself, and the next is due an interval after its beginning",
          "[store][scrub]") {
    fixture f({{}});
    const std::string c = make_content(100);
    f.volumes[0]->inner.plant(name_of(c), c);
    f.make({.interval = 720h, .rate = 0, .start_delay = 0ns});
    const auto s = run(f.drive(0, false, {}), 60s);
    CHECK(s.state == scrub_state::finished);
    REQUIRE(s.next_due);
    CHECK(*s.next_due == *s.started + 720h);
    REQUIRE(s.last_complete);
    // A restart does not begin another one.
    f.make({.interval = 720h, .rate = 0, .start_delay = 0ns});
    f.kill_now = true;
    const auto after = run(f.drive(0, false, {}), 60s);
    CHECK(after.state == scrub_state::finished);
    CHECK(after.next_due == s.next_due);
    CHECK(f.volumes[0]->opens[name_of(c)] == 1);
}

TEST_CASE("a scrub that began while the clock was ahead counts as begun now", "[store][scrub]") {
    constexpr auto years = 24h * 365 * 12;
    fixture f({{}});
    const std::string c = make_content(100);
    f.volumes[0]->inner.plant(name_of(c), c);
    const scrubber::options monthly{.interval = 720h, .rate = 0, .start_delay = 0ns};

    SECTION("found at a restart, and kept over the next one") {
        f.clock.ahead = years;
        f.make(monthly);
        const auto first = run(f.drive(0, false, {}), 60s);
        REQUIRE(first.state == scrub_state::finished);
        f.clock.ahead = {};
        f.make(monthly);
        f.kill_now = true;
        const auto before = f.clock.wall();
        const auto restored = run(f.drive(0, false, {}), 60s);
        REQUIRE(restored.next_due);
        CHECK(*restored.next_due >= before + 720h);
        CHECK(*restored.next_due <= f.clock.wall() + 720h);
        f.clock.ahead = 24h;
        f.make(monthly);
        CHECK(run(f.drive(0, false, {}), 60s).next_due == restored.next_due);
        // The month has passed.
        f.clock.ahead = 721h;
        f.kill_now = false;
        f.make(monthly);
        CHECK(run(f.drive(0, false, {}), 60s).state == scrub_state::finished);
        CHECK(f.volumes[0]->opens[name_of(c)] == 2);
    }
    SECTION("set back while the process runs") {
        f.clock.ahead = years;
        f.make(monthly);
        f.volumes[0]->on_open = [&](const md5_digest&) { f.clock.ahead = {}; };
        const auto s = run(f.drive(0, false, {}), 60s);
        REQUIRE(s.next_due);
        CHECK(*s.next_due <= f.clock.wall() + 720h);
    }
}

TEST_CASE("a checkpoint is decoded to the same values, and anything malformed is refused", "[store][scrub]") {
    scrub_checkpoint saved;
    saved.position = 1234;
    saved.interrupted = true;
    saved.started = scrub_time(std::chrono::nanoseconds(1'700'000'000'123'456'789));
    saved.last_complete = scrub_time(1s);
    saved.pass = {.blocks = 1,
                  .bytes = 1ull << 50,
                  .bad = 3,
                  .unreadable = 4,
                  .repaired = 5,
                  .irreparable = 6,
                  .vanished = 7,
                  .waypoints_written = 8};
    const auto bytes = saved.encode();
    CHECK(bytes.size() < 400);
    CHECK(scrub_checkpoint::decode(bytes) == saved);
    CHECK(scrub_checkpoint::decode(scrub_checkpoint().encode()) == scrub_checkpoint());
    for (const std::string text :
         {"", "{", "[]", "null", "{\"version\":2,\"position\":1}", "{\"version\":1}", "{\"version\":1,\"position\":-1}",
          "{\"version\":1,\"position\":4096}", "{\"version\":1,\"position\":\"abc\"}"}) {
        CAPTURE(text);
        CHECK_FALSE(scrub_checkpoint::decode(std::as_bytes(std::span(text))));
    }
    for (std::size_t cut = 0; cut < bytes.size(); ++cut)
        CHECK_FALSE(scrub_checkpoint::decode(std::span(bytes).first(cut)));
}

TEST_CASE("the list of irreparable copies is bounded, and the rest is counted", "[store][scrub]") {
    scrub_record record;
    record.begin(true, scrub_time(1s), {});
    for (std::size_t i = 0; i < limits::scrub_listed_max + 5; ++i) {
        record.irreparable({.block = name_of(std::to_string(i)), .problem = "x", .first_seen = scrub_time(2s)});
    }
    auto s = record.snapshot({});
    CHECK(s.irreparable.size() == limits::scrub_listed_max);
    CHECK(s.irreparable_unlisted == 5);
    record.end(scrub_state::finished, {}, scrub_time(3s));
    // In the next pass one is seen again, with the time when it was seen first; the others are gone.
    record.begin(true, scrub_time(4s), {});
    record.irreparable({.block = name_of("0"), .problem = "x", .first_seen = scrub_time(5s)});
    CHECK(record.snapshot({}).irreparable.size() == limits::scrub_listed_max);
    record.end(scrub_state::finished, {}, scrub_time(6s));
    s = record.snapshot({});
    REQUIRE(s.irreparable.size() == 1);
    CHECK(s.irreparable[0].first_seen == scrub_time(2s));
    CHECK(s.irreparable_unlisted == 0);
}
