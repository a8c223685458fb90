#include "reports/config_reference.hpp"
#include "tests/cluster_config/sample_config.hpp"

#include <catch2/catch.hpp>

#include <fstream>
#include <iterator>
#include <string>

using namespace keepstore;

TEST_CASE("conf/keepstore.full.yml is what the tables of keys write", "[reports][config]") {
    std::ifstream file(KEEPSTORE_CONF_DIR "/keepstore.full.yml");
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    INFO("If keys have changed: keepstore -config-reference > conf/keepstore.full.yml");
    CHECK(text == reports::config_reference());
}

TEST_CASE("the reference loads, and causes no warning but that of the defaults", "[reports][config]") {
    const auto loaded = test::load(reports::config_reference());
    REQUIRE(loaded.warnings.size() == 1);
    CHECK_THAT(loaded.warnings[0], Catch::Contains("MaxConcurrentRequests: 64 is less than MaxKeepBlobBuffers (128)"));
    CHECK(loaded.cluster.volumes.size() == 3);
}
