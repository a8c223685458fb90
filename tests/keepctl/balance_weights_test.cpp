#include "keepctl/balance/weights.hpp"

#include "digest/md5.hpp"
#include "protocol/rendezvous.hpp"

#include <fmt/format.h>
#include <catch2/catch.hpp>

namespace keepstore::keepctl::balance {

TEST_CASE("weights in lanes are those of single digests", "[keepctl][balance]") {
    cluster all;
    // Identities of all lengths about those at which a message takes another block.
    for (std::size_t length = 0; length < 100; ++length)
        all.servers.push_back({"http://keep", std::string(length, static_cast<char>('a' + length % 26))});
    all.servers[27].identity = "zzzzz-bi6l4-000000000000007";
    for (std::size_t i = 0; i < all.servers.size(); ++i) {
        all.devices.push_back(fmt::format("zzzzz-nyw5e-{:015}", i));
        all.mounts.push_back({.server = static_cast<std::uint16_t>(i / 2), .device = static_cast<std::uint16_t>(i)});
    }
    for (const auto& kernel : digest::md5_kernels()) {
        INFO(kernel.name);
        weights w(all, kernel);
        std::vector<md5_digest> blocks;
        for (std::size_t i = 0; i < w.batch(); ++i) {
            const auto text = std::to_string(i);
            blocks.push_back(digest::md5_of(std::as_bytes(std::span(text))));
        }
        for (const std::size_t count : {w.batch(), std::size_t{1}, w.batch() / 2 + 1}) {
            if (count > w.batch()) continue;
            w.compute(std::span(blocks).first(count));
            for (std::size_t b = 0; b < count; ++b) {
                for (std::size_t i = 0; i < all.servers.size(); ++i)
                    REQUIRE(w.of_servers(b)[i] == protocol::rendezvous_weight(blocks[b], all.servers[i].identity));
                for (std::size_t i = 0; i < all.mounts.size(); ++i) {
                    const auto text = blocks[b].hex() + all.devices[i];
                    REQUIRE(w.of_mounts(b)[i] == digest::md5_of(std::as_bytes(std::span(text))));
                }
            }
        }
    }
}

TEST_CASE("a mount that is alone on its server has no weight", "[keepctl][balance]") {
    cluster all{.servers = {{"http://a", "a"}, {"http://b", "b"}},
                .mounts = {{.server = 0, .device = 0}, {.server = 1, .device = 1}, {.server = 1, .device = 2}},
                .devices = {"x", "y", "z"}};
    weights w(all);
    const md5_digest block = md5_of_nothing;
    w.compute(std::span(&block, 1));
    CHECK(w.of_mounts(0)[0] == md5_digest{});
    CHECK(w.of_mounts(0)[1] != md5_digest{});
    CHECK(w.of_mounts(0)[2] != w.of_mounts(0)[1]);
}

}  // namespace keepstore::keepctl::balance
