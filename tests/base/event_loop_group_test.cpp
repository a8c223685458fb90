#include "base/event_loop_group.hpp"

#include <boost/asio/post.hpp>
#include <catch2/catch.hpp>

#include <pthread.h>

#include <array>
#include <future>
#include <set>
#include <string>

using namespace keepstore;

namespace {

// The name of the thread of a loop.
std::string thread_name(const asio::any_io_executor& executor) {
    std::promise<std::string> name;
    asio::post(executor, [&name] {
        std::array<char, 16> text{};
        pthread_getname_np(pthread_self(), text.data(), text.size());
        name.set_value(text.data());
    });
    return name.get_future().get();
}

}  // namespace

TEST_CASE("loops run on threads of their own that carry the name of the group", "[base][loops]") {
    event_loop_group loops("test", 3);
    CHECK(loops.size() == 3);
    loops.start();
    std::vector<std::string> names;
    for (const auto& executor : loops.executors()) names.push_back(thread_name(executor));
    CHECK(names == std::vector<std::string>{"test/0", "test/1", "test/2"});
    // In turn.
    for (int i = 0; i < 6; ++i) CHECK(loops.next_executor() == loops.executors()[static_cast<std::size_t>(i % 3)]);
}

TEST_CASE("stop() ends the loops, drops what they have queued, and may be called again", "[base][loops]") {
    const auto kept = std::make_shared<int>(1);
    {
        event_loop_group loops("test", 1);
        asio::post(loops.next_executor(), [kept] {});  // Before start(): runs then.
        loops.start();
        CHECK(thread_name(loops.next_executor()) == "test/0");
        CHECK(kept.use_count() == 1);
        loops.stop();
        asio::post(loops.next_executor(), [kept] {});
        loops.stop();
        CHECK(kept.use_count() == 2);
    }
    CHECK(kept.use_count() == 1);
}

TEST_CASE("at least one processor is usable", "[base][loops]") {
    CHECK(usable_processors() >= 1);
}
