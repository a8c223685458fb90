// The cost of an outage of the service, and how soon its end is noticed.
#include "tests/volumes/s3/s3_fixture.hpp"
#include "tests/volumes/s3/tcp_relay.hpp"

#include <catch2/catch.hpp>

namespace keepstore::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using clock = std::chrono::steady_clock;

/// Two seconds, and what a busy machine adds.
constexpr seconds noticed{4};

struct relayed_volume {
    s3_fixture fixture;
    tcp_relay relay{fixture.port()};
    std::unique_ptr<volumes::volume> volume = [this] {
        auto options = fixture.options;
        options.endpoint = relay.url();
        auto opened = volumes::open_s3_volume(options);
        if (!opened) throw std::runtime_error(opened.error().text);
        return std::move(*opened);
    }();

    clock::duration until_it_works(const md5_digest& name) {
        const auto begin = clock::now();
        while (!get(*volume, name) && clock::now() - begin < seconds(10)) std::this_thread::sleep_for(milliseconds(5));
        return clock::now() - begin;
    }
};

deadline late() {
    return deadline::in(seconds(60));
}

awaitable<result<std::size_t>> read_late(volumes::block_reader& reader, std::uint64_t offset, mutable_slice into) {
    co_return co_await reader.read_at(offset, into, late());
}

}  // namespace

TEST_CASE("during an outage calls fail quickly, and its end is noticed within two seconds", "[volumes][s3][outage]") {
    relayed_volume v;
    const auto content = random_bytes(1000);
    const auto name = md5_name(content);
    REQUIRE(put(*v.volume, name, content).has_value());
    REQUIRE(v.volume->health().empty());
    for (int round = 0; round < 2; ++round) {
        v.relay.refuse(true);
        const auto begin = clock::now();
        while (v.volume->health().empty()) {
            REQUIRE(clock::now() - begin < seconds(8));
            const auto got = get(*v.volume, name);
            if (!got) CHECK(got.error() == errc::unavailable);
        }
        const auto known = clock::now();
        for (int i = 0; i < 20; ++i) {
            CHECK(is_error(get(*v.volume, name), errc::unavailable));
            CHECK(is_error(put(*v.volume, random_name(), content), errc::unavailable));
            CHECK(is_error(run(v.volume->touch(name, soon())), errc::unavailable));
        }
        CHECK(clock::now() - known < seconds(20));  // 60 calls; one that tries again takes up to a second.
        v.relay.refuse(false);
        CHECK(v.until_it_works(name) < noticed);
        CHECK(v.volume->health().empty());
    }
    CHECK(get(*v.volume, name).value() == content);
}

TEST_CASE("calls to a service that hangs are cancelled, and it is used again when it continues",
          "[volumes][s3][outage]") {
    relayed_volume v;
    const auto content = random_bytes(32 * MiB);
    const auto name = md5_name(content);
    REQUIRE(put(*v.volume, name, content).has_value());
    auto reader = run(v.volume->open(name, late()));
    REQUIRE(reader.has_value());
    const auto other = random_bytes(8 * MiB);
    auto writer = run(v.volume->create(md5_name(other), other.size(), late()));
    REQUIRE(writer.has_value());
    REQUIRE(run((*writer)->append(copy_to_heap_slice(std::span(other).first(1 * MiB)), late())).has_value());
    v.relay.hang(true);
    const auto begin = clock::now();
    const auto into = make_heap_slice(20 * MiB);
    CHECK(is_error(run(read_late(**reader, 8 * MiB, into), seconds(30)), errc::unavailable));
    result<void> appended;
    for (std::size_t at = 1 * MiB; appended && at < other.size(); at += 1 * MiB) {
        appended =
            run((*writer)->append(copy_to_heap_slice(std::span(other).subspan(at, 1 * MiB)), late()), seconds(30));
    }
    if (appended) appended = run((*writer)->commit(std::nullopt, late()), seconds(30));
    CHECK(is_error(appended, errc::unavailable));
    CHECK(clock::now() - begin < seconds(12));
    const auto known = clock::now();
    CHECK(is_error(get(*v.volume, name), errc::unavailable));
    CHECK(clock::now() - known < seconds(2));  // It does not wait for the silence to become known.
    v.relay.hang(false);
    CHECK(v.until_it_works(name) < noticed);
    CHECK(get(*v.volume, name).value() == content);
}

}  // namespace keepstore::test
