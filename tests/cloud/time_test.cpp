#include "cloud/time.hpp"

#include <catch2/catch.hpp>

using namespace keepstore::cloud;
using namespace std::chrono;

TEST_CASE("a date after 2262 is one that nanoseconds can express", "[cloud][time]") {
    using namespace std::chrono;
    for (const auto& date : {parse_http_date("Mon, 12 Oct 2300 17:50:03 GMT"), parse_iso_date("9999-10-12T17:50:30Z"),
                             parse_iso_date("9999-10-12T17:50:30-12:00")}) {
        REQUIRE(date);
        CHECK(sys_time<nanoseconds>(*date) > sys_time<nanoseconds>(sys_days(year(2262) / 1 / 1)));
    }
    for (const auto* text : {"0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"}) {
        CAPTURE(text);
        CHECK(sys_time<nanoseconds>(parse_iso_date(text).value()) < sys_time<nanoseconds>{});
    }
}

TEST_CASE("HTTP dates are parsed to the second", "[cloud][time]") {
    const auto expected = sys_days{year{2009} / 10 / 12} + 17h + 50min + 3s;
    CHECK(parse_http_date("Mon, 12 Oct 2009 17:50:03 GMT") == expected);
    CHECK(parse_http_date("Mon, 12 Oct 2009 17:50:03 UTC") == expected);
    CHECK(parse_http_date("Thu, 29 Feb 2024 00:00:00 GMT") == sys_days{year{2024} / 2 / 29});
    CHECK(format_http_date(expected) == "Mon, 12 Oct 2009 17:50:03 GMT");
}

TEST_CASE("malformed HTTP dates are refused", "[cloud][time]") {
    for (const auto* text :
         {"", "Mon", "Mon, 12 Oct 2009 17:50:03", "Mon, 12 Oct 2009 17:50:03 CET", "Mon, 32 Oct 2009 17:50:03 GMT",
          "Mon, 12 Okt 2009 17:50:03 GMT", "Mon, 12 Oct 2009 24:50:03 GMT", "Mon, 12 Oct 2009 17:50:03 GMT ",
          "Mon, 1x Oct 2009 17:50:03 GMT", "Thu, 29 Feb 2023 00:00:00 GMT", "Monday, 12-Oct-09 17:50:03 GMT"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_http_date(text).has_value());
    }
}

TEST_CASE("ISO dates are truncated to the second and converted to UTC", "[cloud][time]") {
    const auto expected = sys_days{year{2009} / 10 / 12} + 17h + 50min + 30s;
    for (const auto* text : {"2009-10-12T17:50:30Z", "2009-10-12T17:50:30.000Z", "2009-10-12T17:50:30.999999Z",
                             "2009-10-12T17:50:30+00:00", "2009-10-12T19:50:30+02:00", "2009-10-12T15:20:30.1-0230"}) {
        CAPTURE(text);
        CHECK(parse_iso_date(text) == expected);
    }
    for (const auto* text : {"", "2009-10-12", "2009-10-12 17:50:30Z", "2009-10-12T17:50:30", "2009-13-12T17:50:30Z",
                             "2009-10-12T17:50:30Zz", "2009-10-12T17:50Z", "2009-10-12T17:50:30+25:00"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_iso_date(text).has_value());
    }
}
