// When large blocks go in parts, and when they do not; and how parts share their memory.
#include "volumes/s3/multipart_policy.hpp"
#include "base/limits.hpp"
#include "volumes/s3/part_buffers.hpp"

#include <catch2/catch.hpp>

#include <optional>
#include <vector>

namespace keepstore::test {
namespace {

using namespace std::chrono_literals;
using volumes::s3::part_buffers;
using volumes::s3::transfer_pace;
using volumes::s3::transfer_way;
using clock = transfer_pace::clock;

constexpr std::uint64_t block = 64 << 20;

/// A pace with a clock that tests turn; ahead of the real one, which is used at the end of a transfer.
struct paced {
    transfer_pace pace{3, "news", "bucket"};
    clock::time_point now = clock::now() + 1h;

    transfer_pace::transfer begin() { return pace.begin(now); }
    /// A block that took so long; of that, its client was made to wait.
    void moved(transfer_pace::transfer which, clock::duration elapsed, clock::duration waited) {
        now += elapsed;
        which.moved({.bytes = block, .elapsed = elapsed, .waited = waited}, now);
    }
    transfer_way next() { return begin().way(); }
    void move(clock::duration elapsed, clock::duration waited) { moved(begin(), elapsed, waited); }
};

}  // namespace

TEST_CASE("where a lone client waits for S3 the next block goes in parts, if they are faster", "[volumes][s3][pace]") {
    paced p;
    CHECK(p.next() == transfer_way::whole);  // Nothing is known.
    p.move(1s, 900ms);
    CHECK(p.next() == transfer_way::parts);
    SECTION("they are") {
        p.move(400ms, 300ms);
        CHECK(p.next() == transfer_way::parts);
    }
    SECTION("they are, and then the client is the limit") {
        p.move(400ms, 10ms);
        CHECK(p.next() == transfer_way::parts);
    }
    SECTION("they are not") {
        p.move(900ms, 800ms);
        CHECK(p.next() == transfer_way::whole);
    }
    SECTION("a slow client says nothing about them") {
        p.move(10s, 10ms);
        CHECK(p.next() == transfer_way::parts);
    }
    SECTION("they fail") {
        p.begin().failed(p.now);
        CHECK(p.next() == transfer_way::whole);
        p.now += limits::s3_pace_kept + 1s;
        p.move(1s, 900ms);
        CHECK(p.next() == transfer_way::parts);
    }
    SECTION("the service does not take them") {
        p.begin().refused(p.now);
        p.now += limits::s3_parts_refused_kept;
        p.move(1s, 900ms);
        CHECK(p.next() == transfer_way::whole);
        p.now += limits::s3_pace_kept + 1s;
        p.move(1s, 900ms);
        CHECK(p.next() == transfer_way::parts);
    }
    SECTION("there was no memory for them") {
        auto which = p.begin();
        which.go_whole();
        p.moved(std::move(which), 900ms, 800ms);
        CHECK(p.next() == transfer_way::parts);
    }
}

TEST_CASE("a service that refuses parts of one block refuses those of several", "[volumes][s3][pace]") {
    paced p;
    p.move(1s, 900ms);
    p.begin().refused(p.now);
    const auto company = p.begin();
    p.move(1s, 900ms);
    CHECK(p.next() == transfer_way::whole);
}

TEST_CASE("parts are not tried where they cannot help", "[volumes][s3][pace]") {
    paced p;
    SECTION("the client is the limit") {
        p.move(1s, 400ms);
    }
    SECTION("the service is fast") {
        p.move(300ms, 290ms);
    }
    SECTION("nothing arrived") {
        static_cast<void>(p.next());
    }
    SECTION("it failed") {
        p.begin().failed(p.now);
    }
    SECTION("it took no time") {
        p.move(0s, 0s);
    }
    CHECK(p.next() == transfer_way::whole);
}

TEST_CASE("several clients have a pace of their own, and many fill the line", "[volumes][s3][pace]") {
    paced p;
    p.move(1s, 900ms);
    {
        const auto one = p.begin();
        CHECK(one.way() == transfer_way::parts);
        CHECK(p.next() == transfer_way::whole);  // Of several nothing is known.
        p.move(500ms, 450ms);                    // Two of them: 268 MB/s are enough.
        CHECK(p.next() == transfer_way::whole);
        p.move(1s, 900ms);
        CHECK(p.next() == transfer_way::parts);
        const auto two = p.begin();
        CHECK(two.way() == transfer_way::parts);
        p.move(1500ms, 1400ms);  // Three of them: no faster together.
        CHECK(p.next() == transfer_way::whole);
        p.now += limits::s3_pace_kept + 1s;
        p.move(3s, 2900ms);
        CHECK(p.next() == transfer_way::parts);
        const auto three = p.begin();
        CHECK(three.way() == transfer_way::parts);
        CHECK(p.next() == transfer_way::whole);  // Enough.
    }
    p.move(1s, 900ms);
    CHECK(p.next() == transfer_way::parts);
}

TEST_CASE("what was measured while others came or left does not count", "[volumes][s3][pace]") {
    paced p;
    SECTION("one came") {
        auto one = p.begin();
        const auto two = p.begin();
        p.moved(std::move(one), 1s, 900ms);
    }
    SECTION("one left") {
        std::optional<transfer_pace::transfer> one(p.begin());
        auto two = p.begin();
        one.reset();
        p.moved(std::move(two), 1s, 900ms);
    }
    SECTION("many left") {
        std::vector<transfer_pace::transfer> many;
        for (int i = 0; i < 16; ++i) many.push_back(p.begin());
        auto last = p.begin();
        const auto other = p.begin();
        p.now += 900ms;
        static_cast<void>(p.next());  // The clock.
        many.clear();
        p.now += 100ms;
        last.moved({.bytes = block, .elapsed = 1s, .waited = 950ms}, p.now);
    }
    CHECK(p.next() == transfer_way::whole);
    const auto company = p.begin();
    CHECK(p.next() == transfer_way::whole);
}

TEST_CASE("one after the other is alone, even if they overlap for a moment", "[volumes][s3][pace]") {
    paced p;
    {
        auto one = p.begin();
        p.now += 990ms;
        const auto two = p.begin();
        p.now += 10ms;
        one.moved({.bytes = block, .elapsed = 1s, .waited = 900ms}, p.now);
    }
    CHECK(p.next() == transfer_way::parts);
}

TEST_CASE("what was measured is forgotten after a while", "[volumes][s3][pace]") {
    paced p;
    p.move(1s, 900ms);
    p.move(900ms, 800ms);
    CHECK(p.next() == transfer_way::whole);
    p.now += limits::s3_pace_kept + 1s;
    CHECK(p.next() == transfer_way::whole);
    p.move(1s, 900ms);
    CHECK(p.next() == transfer_way::parts);
}

TEST_CASE("buffers are shared evenly, and given up for newcomers", "[volumes][s3][pace]") {
    part_buffers all(6);
    const auto take_all = [](part_buffers::share& s) {
        unsigned more = 0;
        while (s.take()) ++more;
        return more;
    };
    auto one = all.join();
    REQUIRE(one.has_value());
    CHECK(one->take());
    CHECK(one->take());
    CHECK(one->take());
    CHECK_FALSE(one->give());  // Nobody else is there.
    auto two = all.join();
    REQUIRE(two.has_value());
    CHECK(take_all(*two) == 1);  // The last one.
    CHECK(one->give());
    CHECK_FALSE(one->give());  // Three each.
    CHECK(take_all(*one) == 0);
    CHECK(take_all(*two) == 1);
    CHECK_FALSE(all.join().has_value());
    two.reset();
    CHECK(take_all(*one) == 3);
    one.reset();
    // Each newcomer finds one as long as there are some, and keeps two where there are many.
    std::vector<part_buffers::share> many;
    while (auto next = all.join()) many.push_back(std::move(*next));
    CHECK(many.size() == 6);
    many.pop_back();
    CHECK(many.front().take());
    CHECK_FALSE(many.front().take());
    CHECK_FALSE(many.front().give());
}

}  // namespace keepstore::test
