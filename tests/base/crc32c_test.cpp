#include "base/crc32c.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <random>
#include <string_view>
#include <vector>

using namespace keepstore;

TEST_CASE("CRC-32C has the values of RFC 3720", "[base][crc32c]") {
    std::array<std::byte, 32> bytes{};
    CHECK(crc32c(bytes) == 0x8a9136aa);
    bytes.fill(std::byte{0xff});
    CHECK(crc32c(bytes) == 0x62a8ab43);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
    CHECK(crc32c(bytes) == 0x46dd794e);
    CHECK(crc32c(std::as_bytes(std::span(std::string_view("123456789")))) == 0xe3069283);
    CHECK(crc32c({}) == 0);
}

TEST_CASE("CRC-32C is the same with and without the instruction, whole and in pieces", "[base][crc32c]") {
    std::minstd_rand random(7);
    std::vector<std::byte> bytes(1000);
    for (auto& b : bytes) b = static_cast<std::byte>(random());
    for (std::size_t size = 0; size < 70; ++size) {
        const auto part = std::span(bytes).subspan(size % 9, size);
        CHECK(crc32c(part) == crc32c_portable(part));
    }
    const auto whole = crc32c(bytes);
    for (std::size_t cut = 0; cut <= bytes.size(); cut += 37) {
        CHECK(crc32c(std::span(bytes).subspan(cut), crc32c(std::span(bytes).first(cut))) == whole);
        CHECK(crc32c_portable(std::span(bytes).subspan(cut), crc32c_portable(std::span(bytes).first(cut))) == whole);
    }
}
