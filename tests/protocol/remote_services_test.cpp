#include "protocol/remote_services.hpp"

#include <fmt/format.h>
#include <catch2/catch.hpp>

using namespace keepstore;

TEST_CASE("services are tried in the order of Keep clients", "[protocol][remote]") {
    protocol::remote_service_list list;
    for (int i = 0; i < 16; ++i) {
        auto where = protocol::parse_block_server("http://127.0.0.1:1");
        list.push_back({.uuid = fmt::format("zzzzz-bi6l4-{:015x}", i), .where = *where});
    }
    const auto order = [&](const char* hash) {
        std::string out;
        for (const auto* s : protocol::in_probe_order(list, *md5_digest::parse(hash))) out += s->uuid.back();
        return out;
    };
    // The protocol's reference vectors.
    CHECK(order("10eab6008d5642cf42abd2aa41f847cb") == "3eab2d5fc9681074");
    CHECK(order("9a25b027482b37e047104e2e532cabae") == "097dba52e648f1c3");
    CHECK(order("ece15765f11abfb7d3c71995a3d63bfe") == "c5b4e023f8a7d691");
    CHECK(order("0c1728e2354416472350c906ca8b5718") == "9d81c02e76a3bf54");
}

TEST_CASE("unusable services of a list are left out, and a list without usable ones is an error",
          "[protocol][remote]") {
    const auto two = protocol::parse_service_list(
        R"({"items":[{"uuid":"a","service_host":"127.0.0.1","service_port":1},
                     {"uuid":"b","service_host":"127.0.0.1","service_port":2},
                     {"uuid":"c","service_host":"127.0.0.1","service_port":2}]})");
    CHECK(two->size() == 2);
    const auto one = protocol::parse_service_list(
        R"({"items":[{"uuid":"u","service_host":"Keep.Example","service_port":443,"service_ssl_flag":true},
                     {"service_host":"","service_port":1},{"service_host":"x","service_port":70000},{"service_host":"x"},
                     {"service_host":"x/y","service_port":1},7,null]})");
    REQUIRE(one.has_value());
    REQUIRE(one->size() == 1);
    CHECK(net::to_string(one->front().where.to) == "https://keep.example:443");
    for (const auto* wrong : {"", "{", "[]", "null", "{}", R"({"items":{}})", R"({"items":[]})", R"({"items":[1]})"}) {
        INFO(wrong);
        CHECK(!protocol::parse_service_list(wrong).has_value());
    }
}
