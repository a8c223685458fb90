#include "protocol/rendezvous.hpp"

#include "digest/md5.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <vector>

using namespace keepstore;
using namespace keepstore::protocol;

namespace {

md5_digest md5_of_text(const std::string& text) {
    return digest::md5_of(std::as_bytes(std::span(text)));
}

}  // namespace

// The reference table of docs/interface.md 3.4.
TEST_CASE("sixteen services have the published order for four blocks", "[protocol][rendezvous]") {
    const std::pair<const char*, const char*> rows[] = {
        {"10eab6008d5642cf42abd2aa41f847cb", "3eab2d5fc9681074"},
        {"9a25b027482b37e047104e2e532cabae", "097dba52e648f1c3"},
        {"ece15765f11abfb7d3c71995a3d63bfe", "c5b4e023f8a7d691"},
        {"0c1728e2354416472350c906ca8b5718", "9d81c02e76a3bf54"},
    };
    const std::string digits = "0123456789abcdef";
    for (std::size_t n = 0; n < std::size(rows); ++n) {
        const md5_digest block = *md5_digest::parse(rows[n].first);
        CHECK(block == md5_of_text(std::string(63, '0') + digits[n]));
        std::string order = digits;
        std::ranges::sort(order, [&](char a, char b) {
            const std::string uuid = "zzzzz-bi6l4-00000000000000";
            return rendezvous_weight(block, uuid + b) < rendezvous_weight(block, uuid + a);
        });
        CHECK(order == rows[n].second);
    }
}

TEST_CASE("of an Arvados uuid the last 15 characters count, of another one all", "[protocol][rendezvous]") {
    const md5_digest block = md5_of_nothing;
    CHECK(rendezvous_weight(block, "zzzzz-bi6l4-0123456789abcde") == md5_of_text(block.hex() + "0123456789abcde"));
    CHECK(rendezvous_weight(block, "yyyyy-nyw5e-0123456789abcde") == md5_of_text(block.hex() + "0123456789abcde"));
    for (const std::string uuid : {"", "0123456789abcde", "zzzzz-bi6l4-0123456789abcd", "zzzzz-bi6l4-0123456789abcdef"})
        CHECK(rendezvous_weight(block, uuid) == md5_of_text(block.hex() + uuid));
}
