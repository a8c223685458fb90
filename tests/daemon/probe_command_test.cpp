#include "daemon/probe_command.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <utility>
#include <vector>

using namespace keepstore;
using namespace keepstore::daemon;

namespace {

probe_arguments parsed(std::vector<std::string> arguments, std::string_view config_default = {}) {
    auto got = parse_probe_arguments(arguments, config_default);
    INFO((got ? std::string() : got.error()));
    REQUIRE(got);
    return std::move(*got);
}

std::string refused(std::vector<std::string> arguments) {
    const auto got = parse_probe_arguments(arguments, {});
    return got ? "accepted" : got.error();
}

}  // namespace

TEST_CASE("the probe's flags name a configuration or a bucket, not both", "[daemon][probe]") {
    CHECK(parsed({}).config_path == "/etc/arvados/config.yml");
    CHECK(parsed({}, "/x.yml").config_path == "/x.yml");
    CHECK(parsed({"--config=/a"}, "/x.yml").config_path == "/a");
    CHECK(parsed({"--volume", "a", "-volume=b"}).volumes == std::vector<std::string>{"a", "b"});
    CHECK(parsed({"-timeout", "30s"}).timeout == std::chrono::seconds(30));
    CHECK(parsed({"-json"}).json);
    CHECK(parsed({"-help"}).help);
    const auto bucket = parsed({"-bucket", "b", "-endpoint", "http://h", "-path-style"});
    REQUIRE(bucket.bucket);
    CHECK(bucket.bucket->region == "us-east-1");
    CHECK(bucket.bucket->use_path_style);
    CHECK_FALSE(parsed({}).bucket);

    CHECK(refused({"-bucket", "b"}) == "one of -endpoint and -region must be given");
    CHECK(refused({"-region", "r"}) == "-bucket is missing");
    CHECK_THAT(refused({"-bucket", "b", "-region", "r", "-config", "/c"}), Catch::Contains("instead of -config"));
    CHECK_THAT(refused({"-bucket", "b", "-region", "r", "-volume", "v"}), Catch::Contains("instead of -config"));
    for (const auto* bad : {"0s", "-1s", "2h", "soon", "5"}) {
        CHECK_THAT(refused({"-timeout", bad}), Catch::Contains("expected a duration such as 30s"));
    }
    CHECK_THAT(refused({"stray"}), Catch::Contains("unrecognized argument: stray"));
    CHECK_THAT(refused({"-secret-key", "x"}), Catch::Contains("not defined: -secret-key"));
}
