// When large blocks go in parts, and when they do not; and how parts share their memory.
#include "volumes/cloud/multipart_policy.hpp"
#include "s3/error.hpp"
#include "volumes/cloud/limits.hpp"
#include "volumes/cloud/part_buffers.hpp"

#include <catch2/catch.hpp>

#include <optional>
#include <vector>

namespace keepstore::test {
namespace {

using namespace std::chrono_literals;
using volumes::cloud::multipart_policy;
using volumes::cloud::part_buffers;
using volumes::cloud::transfer_mode;
using clock = multipart_policy::clock;

constexpr std::uint64_t block = 64 << 20;

/// A policy with a clock that tests set; ahead of the real one, which is used at the end of a transfer.
struct measured {
    multipart_policy policy{3, "news", {.service = "S3", .kind = "bucket", .name = "bucket"}};
    clock::time_point now = clock::now() + 1h;

    multipart_policy::transfer begin() { return policy.begin(now); }
    /// A block that took so long; of that, its client was made to wait.
    void moved(multipart_policy::transfer which, clock::duration elapsed, clock::duration waited) {
        now += elapsed;
        which.moved({.bytes = block, .elapsed = elapsed, .waited = waited}, now);
    }
    transfer_mode next() { return begin().mode(); }
    void move(clock::duration elapsed, clock::duration waited) { moved(begin(), elapsed, waited); }
};

}  // namespace

TEST_CASE("where a single client waits for S3 the next block goes in parts, if they are faster",
          "[volumes][s3][multipart]") {
    measured p;
    CHECK(p.next() == transfer_mode::whole);  // Nothing is known.
    p.move(1s, 900ms);
    CHECK(p.next() == transfer_mode::parts);
    SECTION("they are") {
        p.move(400ms, 300ms);
        CHECK(p.next() == transfer_mode::parts);
    }
    SECTION("they are, and then the client is the limit") {
        p.move(400ms, 10ms);
        CHECK(p.next() == transfer_mode::parts);
    }
    SECTION("they are not") {
        p.move(900ms, 800ms);
        CHECK(p.next() == transfer_mode::whole);
    }
    SECTION("a slow client says nothing about them") {
        p.move(10s, 10ms);
        CHECK(p.next() == transfer_mode::parts);
    }
    SECTION("they fail") {
        p.begin().failed(p.now);
        CHECK(p.next() == transfer_mode::whole);
        p.now += limits::cloud_multipart_choice_kept + 1s;
        p.move(1s, 900ms);
        CHECK(p.next() == transfer_mode::parts);
    }
    SECTION("there was no memory for them") {
        auto which = p.begin();
        which.go_whole();
        p.moved(std::move(which), 900ms, 800ms);
        CHECK(p.next() == transfer_mode::parts);
    }
}

TEST_CASE("an error that may pass keeps parts away for a while, and when it is repeated for long",
          "[volumes][s3][multipart]") {
    using s3::error_kind;
    const auto kind = GENERATE(error_kind::malformed_response, error_kind::invalid, error_kind::access_denied,
                               error_kind::unsupported);
    measured p;
    const auto fail_once = [&] {
        p.move(1s, 900ms);
        auto which = p.begin();
        REQUIRE(which.mode() == transfer_mode::parts);
        which.note(s3::make_error(kind), p.now);
    };
    fail_once();
    CHECK(p.next() == transfer_mode::whole);
    p.now += limits::cloud_multipart_choice_kept + 1s;
    fail_once();
    p.now += limits::cloud_multipart_choice_kept + 1s;
    SECTION("with a success between them") {
        p.move(1s, 900ms);
        p.move(400ms, 300ms);
        p.now += limits::cloud_multipart_choice_kept + 1s;
        fail_once();
        p.now += limits::cloud_multipart_choice_kept + 1s;
        fail_once();
        p.now += limits::cloud_multipart_choice_kept + 1s;
        p.move(1s, 900ms);
        CHECK(p.next() == transfer_mode::parts);
    }
    SECTION("three in a row") {
        fail_once();
        p.now += limits::cloud_parts_refused_kept;
        p.move(1s, 900ms);
        CHECK(p.next() == transfer_mode::whole);
        p.now += limits::cloud_multipart_choice_kept + 1s;
        p.move(1s, 900ms);
        CHECK(p.next() == transfer_mode::parts);
    }
}

TEST_CASE("a service that refuses parts of one block refuses those of several", "[volumes][s3][multipart]") {
    measured p;
    for (int i = 0; i < 3; ++i) {
        p.move(1s, 900ms);
        p.begin().rejected(p.now);
        p.now += limits::cloud_multipart_choice_kept + 1s;
    }
    const auto concurrency = p.begin();
    p.move(1s, 900ms);
    CHECK(p.next() == transfer_mode::whole);
}

TEST_CASE("parts are not tried where they cannot help", "[volumes][s3][multipart]") {
    measured p;
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
    CHECK(p.next() == transfer_mode::whole);
}

TEST_CASE("concurrent transfers are measured apart, and many use no parts", "[volumes][s3][multipart]") {
    measured p;
    p.move(1s, 900ms);
    {
        const auto one = p.begin();
        CHECK(one.mode() == transfer_mode::parts);
        CHECK(p.next() == transfer_mode::whole);  // Of several nothing is known.
        p.move(500ms, 450ms);                     // Two of them: 268 MB/s are enough.
        CHECK(p.next() == transfer_mode::whole);
        p.move(1s, 900ms);
        CHECK(p.next() == transfer_mode::parts);
        const auto two = p.begin();
        CHECK(two.mode() == transfer_mode::parts);
        p.move(1500ms, 1400ms);  // Three of them: no faster together.
        CHECK(p.next() == transfer_mode::whole);
        p.now += limits::cloud_multipart_choice_kept + 1s;
        p.move(3s, 2900ms);
        CHECK(p.next() == transfer_mode::parts);
        const auto three = p.begin();
        CHECK(three.mode() == transfer_mode::parts);
        CHECK(p.next() == transfer_mode::whole);  // Enough.
    }
    p.move(1s, 900ms);
    CHECK(p.next() == transfer_mode::parts);
}

TEST_CASE("a measurement during which others began or ended does not count", "[volumes][s3][multipart]") {
    measured p;
    SECTION("one came") {
        auto one = p.begin();
        const auto two = p.begin();
        p.moved(std::move(one), 1s, 900ms);
    }
    SECTION("one left") {
        std::optional<multipart_policy::transfer> one(p.begin());
        auto two = p.begin();
        one.reset();
        p.moved(std::move(two), 1s, 900ms);
    }
    SECTION("many left") {
        std::vector<multipart_policy::transfer> many;
        for (int i = 0; i < 16; ++i) many.push_back(p.begin());
        auto last = p.begin();
        const auto other = p.begin();
        p.now += 900ms;
        static_cast<void>(p.next());  // The clock.
        many.clear();
        p.now += 100ms;
        last.moved({.bytes = block, .elapsed = 1s, .waited = 950ms}, p.now);
    }
    CHECK(p.next() == transfer_mode::whole);
    const auto concurrency = p.begin();
    CHECK(p.next() == transfer_mode::whole);
}

TEST_CASE("consecutive transfers are single ones, even if they overlap for a moment", "[volumes][s3][multipart]") {
    measured p;
    {
        auto one = p.begin();
        p.now += 990ms;
        const auto two = p.begin();
        p.now += 10ms;
        one.moved({.bytes = block, .elapsed = 1s, .waited = 900ms}, p.now);
    }
    CHECK(p.next() == transfer_mode::parts);
}

TEST_CASE("a measurement is forgotten after a while", "[volumes][s3][multipart]") {
    measured p;
    p.move(1s, 900ms);
    p.move(900ms, 800ms);
    CHECK(p.next() == transfer_mode::whole);
    p.now += limits::cloud_multipart_choice_kept + 1s;
    CHECK(p.next() == transfer_mode::whole);
    p.move(1s, 900ms);
    CHECK(p.next() == transfer_mode::parts);
}

TEST_CASE("buffers are shared evenly, and given up for further transfers", "[volumes][s3][multipart]") {
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
    CHECK_FALSE(one->give());  // There is no other transfer.
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
    // Each transfer gets one while there are some, and keeps two where there are many.
    std::vector<part_buffers::share> many;
    while (auto next = all.join()) many.push_back(std::move(*next));
    CHECK(many.size() == 6);
    many.pop_back();
    CHECK(many.front().take());
    CHECK_FALSE(many.front().take());
    CHECK_FALSE(many.front().give());
}

}  // namespace keepstore::test
