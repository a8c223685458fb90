#include "router/request_id.hpp"

#include <catch2/catch.hpp>

#include <regex>
#include <set>

TEST_CASE("request ids have the form of docs/interface.md 2.2 and do not repeat", "[router][request_id]") {
    const std::regex form("req-[a-z0-9]{20}");
    std::set<std::string> seen;
    for (int i = 0; i < 10'000; ++i) {
        const std::string id = keepstore::router::make_request_id();
        if (!std::regex_match(id, form)) FAIL(id);
        seen.insert(id);
    }
    CHECK(seen.size() == 10'000);
}
