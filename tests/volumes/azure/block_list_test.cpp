// The parts of a block: the requests that send them, and what their failures tell the circuit breaker.
#include "tests/volumes/azure/stub_container.hpp"
#include "volumes/azure/access.hpp"
#include "volumes/azure/azure_core.hpp"
#include "volumes/cloud/limits.hpp"

#include <catch2/catch.hpp>

#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::test {
namespace {

using fate = azure_memory_service::fate;
using volumes::azure::azure_core;
using volumes::cloud::circuit_breaker;

/// The core of a volume without its probes, whose requests are tried once.
struct probeless_container {
    azure_memory_service service;
    std::shared_ptr<azure_core> core = make_core();

    std::shared_ptr<azure_core> make_core() {
        auto options = azure_stub_options(service.url());
        auto access = volumes::azure::make_access(options).value();
        access.client.retry.attempts_max = 1;
        auto client = keepstore::azure::client::make(std::move(access.client), std::move(access.keys)).value();
        return std::make_shared<azure_core>(std::move(options), std::move(client));
    }
    [[nodiscard]] result<void> send(volumes::cloud::part_session& session, std::string_view content) const {
        return run(session.send(session.add_part(), copy_to_heap_slice(std::as_bytes(std::span(content))), soon()));
    }
    /// Whether a probe is due. It finds a good container.
    [[nodiscard]] bool is_suspicious() const {
        int probes = 0;
        int turns = 0;
        const auto find_good = [&](deadline) -> awaitable<result<std::string>> {
            ++probes;
            co_return std::string();
        };
        static_cast<void>(run_and_cancel(circuit_breaker::monitor(core->breaker, find_good, [] {}),
                                         [&] { return probes > 0 || ++turns > 20; }));
        return probes > 0;
    }
};

}  // namespace

TEST_CASE("concurrent uploads of one block do not take each other's parts", "[volumes][azure]") {
    probeless_container c;
    std::mutex mutex;
    std::vector<std::string> targets;
    std::vector<std::string> digests;
    c.service.set_hook([&](const std::string& operation, const seen_request& r, stub_reply&) {
        const std::lock_guard lock(mutex);
        if (operation == "put_block") {
            targets.push_back(r.target);
            digests.push_back(r.header("content-md5"));
        }
        return fate::serve;
    });
    const std::string content = "first second";
    const auto name = digest::md5_of(std::as_bytes(std::span(content)));
    const auto good = c.core->make_session(name);
    // Its content is another one, which only the end of the block would have shown.
    const auto bad = c.core->make_session(name);
    REQUIRE(c.send(*good, "first ").has_value());
    REQUIRE(c.send(*bad, "wrong ").has_value());
    REQUIRE(c.send(*good, "second").has_value());
    REQUIRE(c.send(*bad, "second").has_value());
    REQUIRE(run(good->complete({}, soon())).has_value());
    CHECK(c.service.find(name.hex())->content == content);
    // Azure demands ids of one length within a blob, and checks a part only against the MD5 that comes with it.
    const std::set<std::string> unique(targets.begin(), targets.end());
    CHECK(unique.size() == 4);
    for (const auto& target : targets) CHECK(target.size() == targets.front().size());
    for (const auto& md5 : digests) CHECK(md5.size() == 24);
}

TEST_CASE("parts of one block that fail together are one failure", "[volumes][azure][outage]") {
    probeless_container c;
    CHECK(c.is_suspicious());  // Before the first probe.
    CHECK_FALSE(c.is_suspicious());
    c.service.set_hook([](const std::string&, const seen_request&, stub_reply& reply) {
        reply = azure_memory_service::failure(500, "InternalError");
        return fate::reply;
    });
    const auto session = c.core->make_session(random_name());
    for (unsigned i = 0; i <= limits::cloud_outage_failures; ++i) CHECK_FALSE(c.send(*session, "x").has_value());
    CHECK_FALSE(c.is_suspicious());
    for (unsigned i = 1; i < limits::cloud_outage_failures; ++i) {
        CHECK_FALSE(c.send(*c.core->make_session(random_name()), "x").has_value());
    }
    CHECK(c.is_suspicious());
}

}  // namespace keepstore::test
