#include "protocol/signature.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::protocol;
using namespace std::chrono_literals;

namespace {

const std::string signed_hash = "acbd18db4cc2f85cedef654fccc4a4d8";

}  // namespace

// The vector of the Arvados SDK's own tests (docs/interface.md 8.1).
TEST_CASE("signatures agree with the published vector", "[protocol][signature]") {
    const std::string key =
        "13u9fkuccnboeewr0ne3mvapk28epf68a3bhj9q8sb4l6e4e5mkkp6nhj2mmpscgu1zze5h5enydxfe3j215024u16ij4hjaiqs5u4pzsl3ncz"
        "maoxnc"
        "ljkm4875xqn4xv058koz3vkptmzhyheiy6wzevzjmdvxhvcqsvr5abhl15c2d4o4jhl0s91lojy1mtrzqqvprqcverls0xvy9vai9t1l1lvvaz"
        "puadaf"
        "m71jl4mrwq2ygokee3eamvjy8qq1fvy238838enjmy5wzy2md7yvsitp5vztft6j4q866efym7e6vu5wm9fpnwjyxfldw3vbo01mgjs75rgo7q"
        "ioh8z8"
        "ij7jpyp8508okhgbbex3ceei786u5rw2a9gx743dj3fgq2irk";
    const std::string token = "hocfupkn2pjhrpgp2vxv8rsku7tvtx49arbc9s4bvu7p7wxqvk";
    const std::string signature = "+A89118b78732c33104a4d6231e8b5a5fa1e4301e3@7fffffff";
    const locator_signer signer(key, 1209600s);
    const locator_signer::time_point now{1'700'000'000s};

    CHECK(signer.sign(signed_hash + "+3", token, locator_signer::time_point{0x7fffffffs - 1209600s}) ==
          signed_hash + "+3" + signature);
    CHECK(signer.sign(signed_hash + "+3", "", now) == signed_hash + "+3");
    CHECK(locator_signer("", 1209600s).sign(signed_hash, token, now) == signed_hash);

    const auto checked = [&](const std::string& text, const std::string& t = "") -> std::string {
        const auto allowed = signer.verify(text, t.empty() ? token : t, now);
        return allowed ? "ok" : allowed.error().text;
    };
    CHECK(checked(signed_hash + "+3" + signature) == "ok");
    CHECK(checked(signed_hash + signature) == "ok");                          // The size is not signed,
    CHECK(checked(signed_hash + "+99" + signature) == "ok");                  // so a wrong one is valid,
    CHECK(checked(signed_hash + "+3+Kzzzzz" + signature + "+Zfoo") == "ok");  // as are hints on both sides.
    CHECK(checked(signed_hash + "+3") == "invalid signature");
    CHECK(checked(signed_hash + "+3" + signature, token + "x") == "invalid signature");
    CHECK(checked("37b51d194a7513e45b56f6524f2d51f2+3" + signature) == "invalid signature");
    CHECK(checked(signed_hash + "+3+A89118b78732c33104a4d6231e8b5a5fa1e4301e2@7fffffff") == "invalid signature");
    CHECK(checked(signed_hash + "+3+A99118b78732c33104a4d6231e8b5a5fa1e4301e3@7fffffff") == "invalid signature");
    CHECK(checked(signed_hash + "+3+A89118b78732c33104a4d6231e8b5a5fa1e4301e3@7ffffffe") == "invalid signature");
    CHECK(checked(signed_hash + "+3+A89118b78732c33104a4d6231e8b5a5fa1e4301@7fffffff") == "invalid signature");
    CHECK(checked(signed_hash + "+3+A89118b78732c33104a4d6231e8b5a5fa1e4301e3@7fffffff0") == "invalid signature");
    CHECK(checked(signed_hash + "+3" + signature + signature) == "invalid signature");
    CHECK(checked(signed_hash + "+3+\xf0\x9f\x98\x80" + signature) == "invalid signature");
    // Digits of a signature are lower-case; those of the time are signed as they are written.
    CHECK(checked(signed_hash + "+3+A89118B78732C33104A4D6231E8B5A5FA1E4301E3@7fffffff") == "invalid signature");
    CHECK(checked(signed_hash + "+3+A89118b78732c33104a4d6231e8b5a5fa1e4301E3@7fffffff") == "invalid signature");
    CHECK(checked(signed_hash + "+3+A89118b78732c33104a4d6231e8b5a5fa1e4301e3@7FFFFFFF") == "invalid signature");
    // Expiry is looked at before the signature.
    CHECK(checked(signed_hash + "+3+A0000000000000000000000000000000000000000@00000001") == "expired signature");
    CHECK(signer.verify(signed_hash + "+3+A0000000000000000000000000000000000000000@00000001", token, now).error() ==
          errc::unauthorized);
}

TEST_CASE("a signature covers the TTL that was in force", "[protocol][signature]") {
    const locator_signer::time_point now{1'700'000'000s};
    const locator_signer two_weeks("key", 1209600s);
    const locator_signer one_hour("key", 3600s);
    const auto text = two_weeks.sign(signed_hash, "token", now);
    CHECK(two_weeks.verify(text, "token", now).has_value());
    CHECK_FALSE(one_hour.verify(text, "token", now).has_value());
    CHECK_FALSE(locator_signer("kex", 1209600s).verify(text, "token", now).has_value());
}
