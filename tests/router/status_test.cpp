#include "router/status.hpp"
#include "net/server/reason_phrase.hpp"

#include <catch2/catch.hpp>

#include <map>

using namespace keepstore;
using net::cancel_reason;
using router::status_of;

TEST_CASE("every error code has exactly the status of docs/interface.md 2.6", "[router][status]") {
    const std::map<errc, unsigned> expected{{errc::not_found, 404},
                                            {errc::bad_request, 400},
                                            {errc::unauthorized, 401},
                                            {errc::forbidden, 403},
                                            {errc::method_not_allowed, 405},
                                            {errc::too_large, 413},
                                            {errc::range_not_satisfiable, 416},
                                            {errc::checksum_mismatch, 502},
                                            {errc::collision, 500},
                                            {errc::no_space, 507},
                                            {errc::unavailable, 503},
                                            {errc::timeout, 503},
                                            {errc::cancelled, 503},
                                            {errc::unsupported, 501},
                                            {errc::io_error, 500}};
    // The enumerators are consecutive and to_string knows each: a new one that is missing here fails.
    int known = 0;
    for (int i = 1; to_string(static_cast<errc>(i)) != "unknown error"; ++i) {
        const auto code = static_cast<errc>(i);
        INFO(to_string(code));
        REQUIRE(expected.contains(code));
        CHECK(status_of(code, cancel_reason::none) == expected.at(code));
        CHECK_FALSE(net::reason_phrase(status_of(code, cancel_reason::none)).empty());
        ++known;
    }
    CHECK(known == static_cast<int>(expected.size()));
}

TEST_CASE("a cancelled request's status depends on the reason, not on its error", "[router][status]") {
    for (const errc code : {errc::cancelled, errc::io_error, errc::not_found}) {
        CHECK(status_of(code, cancel_reason::client_gone) == 499);
        CHECK(status_of(code, cancel_reason::request_deadline) == 503);
        CHECK(status_of(code, cancel_reason::draining) == 503);
        CHECK(status_of(code, cancel_reason::too_slow) == 408);
    }
    CHECK(net::reason_phrase(499).empty());
}
