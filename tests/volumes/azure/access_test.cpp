#include "volumes/azure/access.hpp"
#include "tests/volumes/azure/stub_container.hpp"
#include "volumes/limits.hpp"

#include <catch2/catch.hpp>

#include <chrono>

namespace keepstore::test {

TEST_CASE("the client of a volume has the times and numbers of its configuration", "[volumes][azure][config]") {
    auto options = azure_stub_options("http://127.0.0.1:1");
    options.connect_timeout = std::chrono::seconds(3);
    options.request_timeout = std::chrono::seconds(4);
    options.list_retry_delay = std::chrono::seconds(5);
    options.list_attempts_max = 6;
    options.connections_max = 7;
    options.base_url = "core.chinacloudapi.cn";
    options.ca_file = "/etc/ca.pem";
    const auto client = volumes::azure::make_access(options).value().client;
    CHECK(client.connect_timeout == options.connect_timeout);
    CHECK(client.read_timeout == options.request_timeout);
    CHECK(client.list_retry_delay == options.list_retry_delay);
    CHECK(client.list_attempts_max == options.list_attempts_max);
    CHECK(client.connections_max == options.connections_max);
    CHECK(client.suffix == options.base_url);
    CHECK(client.endpoint == options.endpoint);
    CHECK(client.ca_file == options.ca_file);
    CHECK(client.account == options.account);
    CHECK(client.container == options.container);
    // A block that streams through cannot be sent again, one that is held can.
    CHECK(client.expect_continue_bytes_min == limits::write_at_once_bytes_max + 1);
}

}  // namespace keepstore::test
