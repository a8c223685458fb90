#include "protocol/retry_schedule.hpp"

#include "net/client/http_client.hpp"

#include <catch2/catch.hpp>

#include <vector>

using namespace keepstore;

TEST_CASE("a service excluded by policy is not reported as unreachable", "[protocol][remote]") {
    const auto unreachable = [](std::vector<error> whys) {
        protocol::retry_schedule schedule(whys.size(), deadline::never());
        for (std::size_t i = 0; i < whys.size(); ++i) schedule.failed(i, whys[i]);
        return schedule.all_unreachable();
    };
    const error down(errc::unavailable, "down", net::failure::connect);
    const error refused(errc::unavailable, "excluded", net::failure::invalid_request);
    CHECK(unreachable({down, error(errc::timeout)}));
    CHECK(!unreachable({refused}));
    CHECK(!unreachable({down, refused}));
    CHECK(!unreachable({down, error(errc::not_found)}));
}
