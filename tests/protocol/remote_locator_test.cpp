#include "protocol/remote_locator.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace keepstore;

namespace {

const std::string signature = "0123456789012345678901234567890123456789@7fffffff";

}  // namespace

TEST_CASE("a remote locator is rewritten to the one that the other cluster signed", "[protocol][remote]") {
    const std::string hash = "acbd18db4cc2f85cedef654fccc4a4d8";
    const auto rewritten = [](const std::string& text) {
        const auto block = protocol::locator::parse(text);
        REQUIRE(block.has_value());
        CHECK(protocol::is_remote(*block));
        const auto remote = protocol::parse_remote_locator(*block);
        return remote ? remote->cluster_id + " " + remote->text : remote.error().text;
    };
    CHECK(rewritten(hash + "+3+Rz0000-" + signature) == "z0000 " + hash + "+3+A" + signature);
    CHECK(rewritten(hash + "+3+Rz0000-x") == "z0000 " + hash + "+3+Ax");
    CHECK(rewritten(hash + "+3+Kz1111+Rz0000-" + signature + "+Zfoo") ==
          "z0000 " + hash + "+3+Kz1111+A" + signature + "+Zfoo");
    // One hop only.
    CHECK(rewritten(hash + "+3+Rz0000-a@1+Rz1111-b@2") == "z0000 " + hash + "+3+Aa@1");
    for (const std::string wrong : {"+3+R", "+3+Rz0000", "+3+Rz0000-", "+3+Rz00000-abc", "+3+Rz00-abcdef"}) {
        INFO(wrong);
        CHECK(rewritten(hash + wrong) == "invalid remote hint");
    }
    CHECK(!protocol::is_remote(*protocol::locator::parse(hash + "+3+Aabc@1+Rz0000-abc")));
    CHECK(!protocol::is_remote(*protocol::locator::parse(hash + "+3")));
}
