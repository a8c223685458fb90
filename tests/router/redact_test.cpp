#include "router/redact.hpp"

#include <catch2/catch.hpp>

using namespace keepstore::router;

TEST_CASE("no signature or token remains in logged text", "[router][redact]") {
    const std::string signature = "Adeadbeef@12345678";
    for (const std::string& text :
         {"/h+3+" + signature, "/h?+" + signature, "/h+3%2B" + signature, "/h?a=b&c=h+" + signature + "&d",
          "/h+3+" + signature + "?api_token=" + signature, "/h?%61pi_token=" + signature,
          "content hash X did not match specified locator h+3+" + signature}) {
        INFO(text);
        CHECK(redact_target(text).find("deadbeef") == std::string::npos);
        CHECK(redact_text(redact_query(text)).find("deadbeef") == std::string::npos);
    }
    CHECK(redact_text("h+3+" + signature).find("deadbeef") == std::string::npos);
    CHECK(redact_target("/index/abc?prefix=12") == "/index/abc?prefix=12");
    CHECK(redact_query("").empty());
}
