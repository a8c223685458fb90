#include "keepctl/cluster/server_traits.hpp"

#include <catch2/catch.hpp>

#include <array>

using namespace keepstore::keepctl;

TEST_CASE("traits of a server are those of its metrics", "[keepctl][traits]") {
    const auto ours = traits_of("http://a",
                                "arvados_version_running{version=\"0.1 (C++)\"} 1\n"
                                "keepstore_blob_signing_ttl_seconds 1.2096e+06\n");
    CHECK(ours.server == "http://a");
    CHECK(ours.version == "0.1 (C++)");
    CHECK(ours.signing_ttl_seconds == 1'209'600);
    const auto go = traits_of("http://b", "arvados_version_running{version=\"3.1.0 (go1.22)\"} 1\n");
    CHECK(go.version == "3.1.0 (go1.22)");
    CHECK_FALSE(go.signing_ttl_seconds);
    const auto odd = traits_of("http://c", "keepstore_blob_signing_ttl_seconds NaN\n");
    CHECK_FALSE(odd.version);
    CHECK_FALSE(odd.signing_ttl_seconds);
}

TEST_CASE("servers are named by what they differ in", "[keepctl][traits]") {
    CHECK(differences_of({}).empty());
    std::array<server_traits, 4> servers{server_traits{"http://a", "1.0", 3600}, server_traits{"http://b", "1.0", 3600},
                                         server_traits{"http://c", "1.0", 3600}, server_traits{"http://d"}};
    CHECK(differences_of(servers).empty());
    servers[1].version = "2.0";
    CHECK(differences_of(servers) ==
          std::vector<std::string>{"servers of different versions: 1.0 (http://a, http://c), 2.0 (http://b)"});
    servers[2].signing_ttl_seconds = 1;
    const auto both = differences_of(servers);
    REQUIRE(both.size() == 2);
    CHECK(both[1] ==
          "servers with different BlobSigningTTL, for which a new copy is kept from the trash: 1 s (http://c), 3600 s "
          "(http://a, http://b)");
}
