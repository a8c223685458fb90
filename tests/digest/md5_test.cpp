#include "digest/md5.hpp"

#include "tests/digest/evp_md5.hpp"
#include "tests/digest/random_bytes.hpp"

#include <catch2/catch.hpp>

#include <string_view>

namespace keepstore::digest {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

TEST_CASE("md5_of gives the digests of RFC 1321", "[digest][md5]") {
    const std::pair<std::string_view, std::string_view> vectors[] = {
        {"", "d41d8cd98f00b204e9800998ecf8427e"},
        {"a", "0cc175b9c0f1b6a831c399e269772661"},
        {"abc", "900150983cd24fb0d6963f7d28e17f72"},
        {"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
        {"abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "d174ab98d277d9f5a5611c2c9f419d9f"},
        {"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
         "57edf4a22be3c955ac49da2e2107b67a"}};
    for (const auto& [text, hex] : vectors) {
        CAPTURE(text);
        CHECK(md5_of(bytes_of(text)).hex() == hex);
    }
}

TEST_CASE("md5 agrees with EVP for every length around the block size", "[digest][md5]") {
    std::mt19937_64 random(test::seed());
    INFO("seed " << test::seed());
    const auto data = test::random_bytes(random, 257);
    for (std::size_t size = 0; size <= data.size(); ++size) {
        const auto bytes = std::span(data).first(size);
        CAPTURE(size);
        CHECK(md5_of(bytes) == test::evp_md5(bytes));
    }
}

TEST_CASE("md5 does not care how the bytes are split", "[digest][md5]") {
    std::mt19937_64 random(test::seed());
    INFO("seed " << test::seed());
    for (int round = 0; round < 500; ++round) {
        const auto data = test::random_bytes(random, test::random_below(random, 1000));
        md5 hash;
        for (std::size_t at = 0; at < data.size();) {
            const std::size_t part = std::min(data.size() - at, test::random_below(random, 150));
            hash.update(std::span(data).subspan(at, part));
            at += part;
            REQUIRE(hash.length() == at);
        }
        REQUIRE(hash.finish() == test::evp_md5(data));
    }
}

TEST_CASE("md5 continues from a state", "[digest][md5]") {
    std::mt19937_64 random(test::seed());
    INFO("seed " << test::seed());
    const auto data = test::random_bytes(random, 1000);
    for (std::size_t cut = 0; cut <= 960; cut += 64) {
        CAPTURE(cut);
        md5 first;
        first.update(std::span(data).first(cut));
        md5 second(first.state(), cut);
        second.update(std::span(data).subspan(cut));
        CHECK(second.finish() == test::evp_md5(data));

        md5_state compressed;
        md5_compress(compressed, std::span(data).first(cut));
        CHECK(compressed == first.state());
    }
}

TEST_CASE("md5_finish counts bits beyond 32 bits", "[digest][md5]") {
    // 600 MiB of zeros; the digest is that of `head -c 600M /dev/zero | md5sum`, computed here
    // through EVP in pieces.
    constexpr std::size_t size = 600 * 1024 * 1024;
    const std::vector<std::byte> zeros(1 << 20);
    EVP_MD_CTX* const context = EVP_MD_CTX_new();
    EVP_DigestInit_ex(context, EVP_md5(), nullptr);
    md5 hash;
    for (std::size_t at = 0; at < size; at += zeros.size()) {
        EVP_DigestUpdate(context, zeros.data(), zeros.size());
        hash.update(zeros);
    }
    md5_digest expected;
    EVP_DigestFinal_ex(context, expected.bytes.data(), nullptr);
    EVP_MD_CTX_free(context);
    CHECK(hash.finish() == expected);
}

}  // namespace
}  // namespace keepstore::digest
