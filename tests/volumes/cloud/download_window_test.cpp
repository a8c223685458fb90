// Which bytes a reader of a shared download can have, which are wanted next, and which may be dropped.
#include "volumes/cloud/download_window.hpp"
#include "base/buffer.hpp"
#include "volumes/cloud/limits.hpp"

#include <catch2/catch.hpp>

namespace keepstore::test {
namespace {

using volumes::cloud::download_window;

constexpr std::size_t size = 100;

const_slice hundred_bytes() {
    return make_heap_slice(size).freeze(size);
}

}  // namespace

TEST_CASE("a read gets received bytes, waits for further ones, and is told of those outside the window",
          "[volumes][s3]") {
    download_window window(1000);
    const auto reader = window.join();
    CHECK_FALSE(window.look(reader, 1000, 10).has_value());
    window.set_remaining(2000);
    window.append(hundred_bytes());
    window.append(hundred_bytes());
    CHECK(window.look(reader, 1050, 1000)->bytes.size() == 50);
    CHECK(window.look(reader, 1150, 10)->bytes.size() == 10);
    CHECK_FALSE(window.look(reader, 1200, 10).has_value());
    CHECK(window.look(reader, 999, 10)->outside_window);
    CHECK(window.look(reader, 3000, 10)->outside_window);
    CHECK(window.fastest() == 1200);
}

TEST_CASE("a reader that reads far ahead is outside the window", "[volumes][s3]") {
    download_window window(0);
    const auto reader = window.join();
    window.set_remaining(64 * MiB);
    CHECK_FALSE(window.look(reader, limits::cloud_skip_bytes_max, 10).has_value());
    CHECK(window.look(reader, limits::cloud_skip_bytes_max + 1, 10)->outside_window);
}

TEST_CASE("pieces are dropped from the front, and not while they are being read", "[volumes][s3]") {
    download_window window(0);
    const auto slow = window.join();
    const auto quick = window.join();
    window.set_remaining(1000);
    for (int i = 0; i < 3; ++i) window.append(hundred_bytes());
    static_cast<void>(window.look(quick, 200, size));
    CHECK(window.slowest() == 0);
    CHECK(window.holds_beginning());
    window.begin_read(150, 10);
    CHECK_FALSE(window.front_is_being_read());
    CHECK(window.drop_before(window.fastest()).size() == 1);
    CHECK(window.front_is_being_read());
    CHECK_FALSE(window.holds_beginning());
    CHECK(window.look(slow, 0, 10)->outside_window);
    window.end_read(150, 10);
    CHECK(window.drop_before(window.fastest()).size() == 2);
    CHECK(window.empty());
}

TEST_CASE("more is wanted while a read waits for it, and a bounded distance ahead of the fastest reader",
          "[volumes][s3]") {
    download_window window(0);
    const auto reader = window.join();
    window.set_remaining(1000);
    CHECK(window.wanted(size));
    window.append(hundred_bytes());
    CHECK_FALSE(window.wanted(size));
    window.begin_read(size, 10);
    CHECK(window.awaited_bytes() == 10);
    CHECK(window.awaited());
    CHECK(window.wanted(0));
    window.end_read(size, 10);
    CHECK(window.awaited_bytes() == 0);
    CHECK_FALSE(window.awaited());
    static_cast<void>(window.look(reader, 0, 1));
    CHECK(window.wanted(size));
}

}  // namespace keepstore::test
