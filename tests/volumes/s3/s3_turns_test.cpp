// More slow readers than the volume or the service has places for: downloads take turns.
#include "tests/s3/bucket_fixture.hpp"
#include "tests/volumes/s3/stub_replies.hpp"
#include "volumes/cloud/task_group.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <atomic>
#include <map>

namespace keepstore::test {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t slow_piece = 32 * KiB;

std::string object_text(const bytes& content) {
    return {reinterpret_cast<const char*>(content.data()), content.size()};
}

/// What became of a reader.
struct outcome {
    std::optional<error> failed;
    bool right = false;
};

/// Reads a block as a slow client does: in pieces, with pauses while `paused` says so.
awaitable<outcome> read_slowly(volumes::volume& v, md5_digest name, const bytes& content,
                               const std::atomic<bool>& paused) {
    auto reader = co_await v.open(name, soon());
    if (!reader) co_return outcome{.failed = reader.error()};
    asio::steady_timer timer(co_await asio::this_coro::executor);
    const auto into = make_heap_slice(slow_piece);
    for (std::size_t at = 0; at < content.size(); at += slow_piece) {
        const auto count = co_await (*reader)->read_at(at, into, soon());
        if (!count) co_return outcome{.failed = count.error()};
        const auto expected = std::min(slow_piece, content.size() - at);
        if (*count != expected ||
            !std::equal(into.bytes.begin(), into.bytes.begin() + static_cast<std::ptrdiff_t>(expected),
                        content.begin() + static_cast<std::ptrdiff_t>(at)))
            co_return outcome{};
        if (!paused) continue;
        timer.expires_after(milliseconds(2));
        static_cast<void>(co_await timer.async_wait(use_tuple));
    }
    co_return outcome{.right = true};
}

std::vector<outcome> read_all_slowly(volumes::volume& v, const std::vector<md5_digest>& names, const bytes& content,
                                     const std::atomic<bool>& paused) {
    std::vector<outcome> out;
    asio::io_context& context = new_context();
    for (const auto& name : names) {
        test::start_work(context, read_slowly(v, name, content, paused),
                         [&](outcome o) { out.push_back(std::move(o)); });
    }
    CHECK(turn_until(context, [&] { return out.size() == names.size(); }));
    return out;
}

std::vector<md5_digest> random_names(std::size_t count) {
    std::vector<md5_digest> out;
    for (std::size_t i = 0; i < count; ++i) out.push_back(random_name());
    return out;
}

/// Memory for a few pieces only, so that no download runs far ahead of its reader.
volumes::s3_options scarce(const stub_service& service, std::size_t downloads) {
    auto o = stub_volume(service);
    o.downloads = {.most = downloads, .least = 1, .turn = milliseconds(5)};
    o.fetch_memory_bytes = 512 * KiB;
    return o;
}

std::size_t first_of(const seen_request& r) {
    const auto range = r.header("range");
    return range.empty() ? 0 : std::stoul(range.substr(6));
}

}  // namespace

TEST_CASE("more slow readers than downloads at a time are all served, in turns", "[volumes][s3][stub][turns]") {
    const auto content = random_bytes(3 * MiB + 5);
    const auto text = object_text(content);
    stub_service service([&](const seen_request& r, std::size_t) {
        if (is_listing(r)) return empty_listing();
        return r.method == "GET" ? ranged_reply(r, text) : signed_reply(404);
    });
    const auto volume = open_volume(scarce(service, 2));
    const std::atomic<bool> paused = true;
    for (const auto& o : read_all_slowly(*volume, random_names(7), content, paused)) {
        CHECK(!o.failed);
        CHECK(o.right);
    }
    CHECK(volume->health().empty());
    // Continued where they were, and only if the object is still the same.
    std::size_t continued = 0;
    for (const auto& r : service.seen()) {
        if (r.method != "GET" || first_of(r) == 0 || is_listing(r)) continue;
        ++continued;
        CHECK(!r.header("if-match").empty());
        CHECK(first_of(r) % slow_piece == 0);
    }
    CHECK(continued >= 5);
}

TEST_CASE("a reader that does not read at all makes room for others, and continues later",
          "[volumes][s3][stub][turns]") {
    const auto content = random_bytes(3 * MiB);
    const auto text = object_text(content);
    stub_service service([&](const seen_request& r, std::size_t) {
        if (is_listing(r)) return empty_listing();
        return r.method == "GET" ? ranged_reply(r, text) : signed_reply(404);
    });
    const auto volume = open_volume(scarce(service, 1));
    const auto into = make_heap_slice(slow_piece);
    auto sleeper = run(volume->open(random_name(), soon()));
    REQUIRE(sleeper);
    REQUIRE(run((*sleeper)->read_at(0, into, soon())));
    const std::atomic<bool> paused = false;
    for (int i = 0; i < 2; ++i) CHECK(read_all_slowly(*volume, random_names(1), content, paused).front().right);
    const auto before = service.count("/keep/");
    bytes rest;
    for (std::size_t at = slow_piece; at < content.size(); at += slow_piece) {
        REQUIRE(run((*sleeper)->read_at(at, into, soon())));
        rest.insert(rest.end(), into.bytes.begin(), into.bytes.end());
    }
    CHECK(std::equal(rest.begin(), rest.end(), content.begin() + slow_piece));
    // Nothing waits, so that the GETs grow: 256 KiB, 512 KiB, 1 MiB, 2 MiB.
    CHECK(service.count("/keep/") - before <= 5);
}

TEST_CASE("a block that was replaced while its reader paused is not continued, one that was trashed is",
          "[volumes][s3][stub][turns]") {
    const auto content = random_bytes(2 * MiB);
    const auto text = object_text(content);
    const auto shorter = text.substr(0, text.size() - 1);
    std::atomic<bool> replaced = false;
    std::atomic<bool> smaller = false;
    std::atomic<bool> trashed = false;
    const bool untagged = GENERATE(false, true);
    const auto mine = random_name();
    stub_service service([&](const seen_request& r, std::size_t) {
        if (is_listing(r)) return empty_listing();
        if (r.method != "GET") return signed_reply(404);
        const bool of_mine = r.path().contains(mine.hex());
        const bool of_trash = r.path().contains("trash/");
        if (of_mine && replaced) return refused_with(412, "PreconditionFailed");
        if (of_mine && trashed != of_trash) return refused_with(404, "NoSuchKey");
        auto reply = ranged_reply(r, of_mine && smaller ? shorter : text);
        if (untagged) std::erase_if(reply.headers, [](const auto& h) { return h.first == "ETag"; });
        return reply;
    });
    const auto volume = open_volume(scarce(service, 1));
    const auto into = make_heap_slice(slow_piece);
    auto reader = run(volume->open(mine, soon()));
    REQUIRE(reader);
    REQUIRE(run((*reader)->read_at(0, into, soon())));
    const std::atomic<bool> paused = false;
    REQUIRE(read_all_slowly(*volume, random_names(1), content, paused).front().right);
    SECTION("replaced") {
        // Without an ETag nothing but its size tells.
        (untagged ? smaller : replaced) = true;
        std::optional<error> failed;
        for (std::size_t at = slow_piece; at < content.size() && !failed; at += slow_piece)
            if (const auto got = run((*reader)->read_at(at, into, soon())); !got) failed = got.error();
        REQUIRE(failed);
        CHECK(*failed == errc::unavailable);
    }
    SECTION("trashed") {
        trashed = true;
        bool right = true;
        for (std::size_t at = slow_piece; at < content.size() && right; at += slow_piece) {
            const auto got = run((*reader)->read_at(at, into, soon()));
            right = got &&
                    std::equal(into.bytes.begin(), into.bytes.end(), content.begin() + static_cast<std::ptrdiff_t>(at));
        }
        CHECK(right);
    }
}

TEST_CASE("many slow readers of few blocks are all served, however little memory there is",
          "[volumes][s3][stub][turns][memory]") {
    const auto content = random_bytes(MiB);
    const auto text = object_text(content);
    stub_service service([&](const seen_request& r, std::size_t) {
        if (is_listing(r)) return empty_listing();
        return r.method == "GET" ? ranged_reply(r, text) : signed_reply(404);
    });
    auto options = scarce(service, 6);
    options.fetch_memory_bytes = MiB;
    options.fetch_reserve_bytes = 512 * KiB;
    const auto volume = open_volume(std::move(options));
    const auto few = random_names(3);
    std::vector<md5_digest> names;
    for (int i = 0; i < 20; ++i) names.insert(names.end(), few.begin(), few.end());
    const std::atomic<bool> paused = true;
    std::size_t served = 0;
    for (const auto& o : read_all_slowly(*volume, names, content, paused)) served += o.right ? 1 : 0;
    CHECK(served == names.size());
}

TEST_CASE("a download that waits for memory gives up its turn", "[volumes][s3][stub][turns][memory]") {
    const auto content = random_bytes(MiB);
    const auto text = object_text(content);
    stub_service service([&](const seen_request& r, std::size_t) {
        if (is_listing(r)) return empty_listing();
        return r.method == "GET" ? ranged_reply(r, text) : signed_reply(404);
    });
    auto options = scarce(service, 1);
    options.fetch_memory_bytes = 0;
    options.fetch_reserve_bytes = limits::chunk_size_bytes;
    const auto volume = open_volume(std::move(options));
    auto first = run(volume->open(random_name(), soon()));
    REQUIRE(first);
    auto held = run((*first)->read_piece(0, slow_piece, soon()));  // All memory that there is.
    REQUIRE(held);
    CHECK(held->size() == slow_piece);
    auto second = run(volume->open(random_name(), soon()));
    REQUIRE(second);
    const auto into = make_heap_slice(slow_piece);
    std::optional<result<std::size_t>> got;
    asio::io_context& context = new_context();
    test::start_work(context, (*second)->read_at(0, into, soon()), [&](result<std::size_t> r) { got = std::move(r); });
    context.poll();
    CHECK(run(volume->open(random_name(), soon())));
    CHECK_FALSE(got);
    held = {};
    CHECK(turn_until(context, [&] { return got.has_value(); }));
    REQUIRE((got && *got));
    CHECK(std::equal(into.bytes.begin(), into.bytes.end(), content.begin()));
}

TEST_CASE("where the service does not know ranges downloads that pause keep their turn, after the first one",
          "[volumes][s3][stub][turns]") {
    const auto content = random_bytes(2 * MiB);
    const auto text = object_text(content);
    stub_service service([&](const seen_request& r, std::size_t) {
        if (is_listing(r)) return empty_listing();
        return r.method == "GET" ? object_reply(text) : signed_reply(404);
    });
    const auto volume = open_volume(scarce(service, 1));
    const auto into = make_heap_slice(slow_piece);
    const auto read_rest = [&](volumes::block_reader& reader) {
        for (std::size_t at = slow_piece; at < content.size(); at += slow_piece)
            if (!run(reader.read_at(at, into, soon()))) return false;
        return true;
    };
    const auto begin = [&] {
        auto reader = run(volume->open(random_name(), soon()));
        REQUIRE(reader);
        REQUIRE(run((*reader)->read_at(0, into, soon())));
        return std::move(*reader);
    };
    const std::atomic<bool> paused = false;
    {
        const auto first = begin();
        CHECK(read_all_slowly(*volume, random_names(1), content, paused).front().right);
        CHECK_FALSE(read_rest(*first));
    }
    const auto second = begin();
    CHECK(is_error(run(volume->open(random_name(), deadline::in(milliseconds(300)))), errc::timeout));
    CHECK(read_rest(*second));
}

TEST_CASE("a download that is throttled waits for another turn, if there are many", "[volumes][s3][stub][turns]") {
    const auto content = random_bytes(512 * KiB);
    const auto text = object_text(content);
    // More often than a single call tries.
    std::map<std::string, unsigned> refusals;
    stub_service service([&](const seen_request& r, std::size_t) {
        if (is_listing(r)) return empty_listing();
        if (r.method != "GET") return signed_reply(404);
        return refusals[r.path()]++ <= limits::cloud_attempts_max ? refused_with(503, "SlowDown")
                                                                  : ranged_reply(r, text);
    });
    const auto volume = open_volume(scarce(service, 64));
    const std::atomic<bool> paused = false;
    SECTION("many") {
        for (const auto& o : read_all_slowly(*volume, random_names(3), content, paused)) {
            CHECK(!o.failed);
            CHECK(o.right);
        }
    }
    SECTION("one") {
        const auto only = read_all_slowly(*volume, random_names(1), content, paused).front();
        REQUIRE(only.failed);
        CHECK(*only.failed == errc::unavailable);
    }
    CHECK(volume->health().empty());
}

TEST_CASE("the tasks of a volume are spread evenly over its loops, whatever their order", "[volumes][s3]") {
    volumes::cloud::task_group group(3, "S3");
    REQUIRE(group.size() == 3);
    const auto wait = []() -> awaitable<result<bool>> {
        asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::hours(1));
        static_cast<void>(co_await timer.async_wait(use_tuple));
        co_return true;
    };
    const auto ignore = [](const result<bool>&) {};
    std::vector<std::shared_ptr<volumes::cloud::loop_task>> lasting;
    for (int i = 0; i < 12; ++i) {
        lasting.push_back(group.spawn<bool>(wait(), ignore));
        // Every second one ends at once, as a marker's request does.
        one_shot<bool> ended;
        static_cast<void>(group.spawn<bool>([]() -> awaitable<result<bool>> { co_return true; }(),
                                            [ended](result<bool> got) { ended.set(std::move(got)); }));
        REQUIRE(run(ended.wait()).has_value());
    }
    CHECK(group.loads() == std::vector<std::size_t>{4, 4, 4});
    for (const auto& task : lasting) task->cancel();
}

}  // namespace keepstore::test
