/// Names, addresses, and which of them is connected to.
#include "net/client/local_address.hpp"
#include "net/limits.hpp"
#include "tests/net/client/full_listener.hpp"
#include "tests/net/client/script_server.hpp"

#include <boost/asio/ip/address.hpp>
#include <catch2/catch.hpp>

#include <dlfcn.h>
#include <netdb.h>

#include <condition_variable>
#include <map>

using namespace keepstore;
using namespace keepstore::test;
using namespace std::chrono_literals;
using net::failure;

namespace {

/// The name service for these tests: names under "slow.test" are resolved when a test releases them, all others by the
/// system.
class slow_names {
  public:
    static slow_names& instance() {
        static auto& all = *new slow_names;
        return all;
    }
    void answer(const std::string& name) {
        const std::lock_guard lock(mutex_);
        released_[name] = true;
        changed_.notify_all();
    }
    int asked(const std::string& name) {
        const std::lock_guard lock(mutex_);
        return asked_[name];
    }
    void wait_for(const std::string& name) {
        std::unique_lock lock(mutex_);
        ++asked_[name];
        changed_.wait_for(lock, 40s, [&] { return released_[name]; });
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    // Guarded by mutex_.
    std::map<std::string, bool> released_;
    std::map<std::string, int> asked_;
};

}  // namespace

// Instead of the C library's, which it calls.
extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints, addrinfo** found) {
    using function = int (*)(const char*, const char*, const addrinfo*, addrinfo**);
    static const auto real = reinterpret_cast<function>(::dlsym(RTLD_NEXT, "getaddrinfo"));
    if (name && std::string_view(name).ends_with("slow.test")) {
        slow_names::instance().wait_for(name);
        return real("127.0.0.1", service, hints, found);
    }
    return real(name, service, hints, found);
}

TEST_CASE("link-local addresses are recognised in every form", "[net][connect]") {
    const auto local = [](const char* text) { return net::is_link_local(asio::ip::make_address(text)); };
    for (const char* text : {"169.254.169.254",
                             "169.254.0.1",
                             "169.254.255.255",
                             "100.100.100.200",
                             "168.63.129.16",
                             "fe80::1",
                             "febf::1",
                             "fe80::1%1",
                             "fd00:ec2::254",
                             "fd00:ec2::254%1",
                             "fd00:ec2::23",
                             "fd00:ec2:1::1",
                             "fd20:ce::254",
                             "fd20:ce::254%2",
                             "fd00:c1::a9fe:a9fe",
                             "::ffff:169.254.169.254",
                             "::ffff:169.254.169.254%1",
                             "::169.254.169.254",
                             "64:ff9b::169.254.169.254",
                             "64:ff9b::6464:64c8",
                             "2002:a9fe:a9fe::1",
                             "2002:a83f:8110::"}) {
        INFO(text);
        CHECK(local(text));
    }
    for (const char* text :
         {"127.0.0.1", "10.0.0.1", "169.253.255.255", "169.255.0.0", "100.100.100.201", "168.63.129.17", "::1",
          "::", "fec0::1", "fe7f::1", "fd00:ec3::254", "fd20:ce::255", "fd00:c1::1", "fd00::1", "::ffff:10.0.0.1",
          "64:ff9b::10.0.0.1", "64:ff9c::169.254.169.254", "2002:a00:1::1", "2001:db8::a9fe:a9fe"}) {
        INFO(text);
        CHECK_FALSE(local(text));
    }
}

TEST_CASE("an address that does not respond is raced by the next one, and is no longer tried first", "[net][connect]") {
    script_server s([](peer& p, int) {
        p.head();
        p.answer("ok");
    });
    const full_listener dead("127.0.0.3", s.port());
    const auto c = make_client({.hosts = {{"many.test", "127.0.0.3"}, {"many.test", "127.0.0.1"}}});
    const auto timed = [&] {
        const auto began = std::chrono::steady_clock::now();
        // An equal share of the limit would be half a minute.
        CHECK(call_once(c, {.to = s.to("many.test"), .timing = {.connect = 60s}, .fresh_connection = true}).body ==
              "ok");
        return std::chrono::steady_clock::now() - began;
    };
    const auto first = timed();
    CHECK(first >= limits::net_address_attempt_delay);
    CHECK(first < 10s);
    auto later = timed();
    for (int i = 0; i < 5; ++i) later = std::min(later, timed());
    CHECK(later < limits::net_address_attempt_delay);
}

TEST_CASE("an address that responds late wins over one that never does", "[net][connect]") {
    full_listener late;
    const full_listener dead("127.0.0.3", late.to().port);
    const auto c = make_client({.hosts = {{"many.test", "127.0.0.1"}, {"many.test", "127.0.0.3"}}});
    loop l;
    auto& j = l.start(c, {.to = {false, "many.test", late.to().port}});
    const auto began = std::chrono::steady_clock::now();
    REQUIRE(l.until([&] { return c.counters().connections_in_use.value() == 1; }));
    REQUIRE(l.until([&] { return std::chrono::steady_clock::now() - began > limits::net_address_attempt_delay; }));
    // From here on it takes connections. The kernel asks again one second after its first attempt.
    late.serve_next("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    REQUIRE(l.until([&] { return j.done.has_value(); }));
    INFO(j.done->error_text());
    CHECK(j.done->body == "ok");
}

TEST_CASE("without a reply from any address the connect limit ends the attempt", "[net][connect][timeout]") {
    const full_listener one("127.0.0.2");
    const full_listener two("127.0.0.3", one.to().port);
    const auto c =
        make_client({.hosts = {{"many.test", "127.0.0.2"}, {"many.test", "127.0.0.3"}, {"many.test", "127.0.0.4"}}});
    const auto a = call_once(c, {.to = {false, "many.test", one.to().port}, .timing = {.connect = 900ms}});
    CHECK(a.failed_with(errc::timeout, failure::connect_timeout));
}

TEST_CASE("a lookup also serves callers that come after its first one has timed out", "[net][resolve]") {
    script_server s([](peer& p, int) {
        while (!p.head().empty()) p.answer("ok");
    });
    const auto c = make_client();
    // Names are looked up once for each section.
    static int sections = 0;
    const std::string name = "patience" + std::to_string(++sections) + ".slow.test";
    loop l;
    auto& first = l.start(c, {.to = s.to(name), .timing = {.connect = 100ms}});
    REQUIRE(l.until([&] { return first.done.has_value(); }));
    CHECK(first.done->failed_with(errc::timeout, failure::connect_timeout));
    CHECK(first.done->error_text().find("name service") != std::string::npos);
    SECTION("while it is running") {
        auto& second = l.start(c, {.to = s.to(name)});
        auto& third = l.start(c, {.to = s.to(name)});
        REQUIRE(l.until([&] { return c.counters().connections_in_use.value() == 2; }));
        slow_names::instance().answer(name);
        REQUIRE(l.until([&] { return second.done.has_value() && third.done.has_value(); }));
        CHECK(second.done->body == "ok");
        CHECK(third.done->body == "ok");
        CHECK(slow_names::instance().asked(name) == 1);
    }
    SECTION("after it has ended") {
        slow_names::instance().answer(name);
        // Each with a short limit: one of them finds the result of the first lookup.
        REQUIRE(l.until([&] {
            auto& j = l.start(c, {.to = s.to(name), .timing = {.connect = 100ms}});
            return l.until([&] { return j.done.has_value(); }) && j.done->body == "ok";
        }));
        CHECK(slow_names::instance().asked(name) == 1);
    }
}

TEST_CASE("a loop may be destroyed while a name is being looked up", "[net][resolve]") {
    const auto c = make_client();
    const std::string name = "gone.slow.test";
    std::thread later;
    {
        asio::io_context context{1};
        test::start_work(context, call(c, {.to = {false, name, 1}}, deadline::in(40s)), [](const answer&) {});
        const auto end = std::chrono::steady_clock::now() + 40s;
        while (slow_names::instance().asked(name) == 0 && std::chrono::steady_clock::now() < end) context.run_for(2ms);
        CHECK(c.counters().connections_in_use.value() == 1);
        // The end of the context waits for the name service.
        later = std::thread([&] { slow_names::instance().answer(name); });
    }
    later.join();
    CHECK(c.counters().connections_in_use.value() == 0);
}
