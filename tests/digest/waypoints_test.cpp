#include "digest/waypoints.hpp"

#include "tests/digest/random_bytes.hpp"

#include <catch2/catch.hpp>

namespace keepstore::digest {
namespace {

const md5_digest block_name = md5_of(std::as_bytes(std::span("some block")));

std::vector<md5_state> random_states(std::mt19937_64& random, std::size_t count) {
    std::vector<md5_state> states(count);
    for (auto& state : states) {
        for (auto& word : state.words) word = static_cast<std::uint32_t>(random());
    }
    return states;
}

waypoints some(std::mt19937_64& random, std::size_t length) {
    return waypoints::make(length, waypoints::stride_for(length), random_states(random, 64)).value();
}

// Encodes by the table in the header, independently of encode(), with a right checksum.
std::vector<std::byte> by_hand(unsigned version, unsigned stride_log2, unsigned count, std::uint32_t length,
                               std::size_t states) {
    std::vector<std::byte> out;
    const auto put = [&out](std::uint32_t value, int size) {
        for (int i = 0; i < size; ++i) out.push_back(static_cast<std::byte>((value >> (8 * i)) & 0xff));
    };
    put(version, 1);
    put(stride_log2, 1);
    put(count, 2);
    put(length, 4);
    for (std::size_t i = 0; i < states * 4; ++i) put(static_cast<std::uint32_t>(i * 0x01020304), 4);
    auto sealed = out;
    for (const auto byte : block_name.bytes) sealed.push_back(std::byte{byte});
    const auto digest = md5_of(sealed);
    for (std::size_t i = 0; i < 8; ++i) out.push_back(std::byte{digest.bytes[i]});
    return out;
}

TEST_CASE("the stride is the smallest power of two that gives at most 64 segments", "[digest][waypoints]") {
    CHECK(waypoints::stride_for(0) == 64 * KiB);
    CHECK(waypoints::stride_for(1) == 64 * KiB);
    CHECK(waypoints::stride_for(4 * MiB) == 64 * KiB);
    CHECK(waypoints::stride_for(4 * MiB + 1) == 128 * KiB);
    CHECK(waypoints::stride_for(64 * MiB - 1) == MiB);
    CHECK(waypoints::stride_for(64 * MiB) == MiB);
}

TEST_CASE("segments cover the block exactly", "[digest][waypoints]") {
    std::mt19937_64 random(test::seed());
    for (const std::size_t length :
         {std::size_t{0}, std::size_t{1}, 64 * KiB, 64 * KiB + 1, 4 * MiB, 5 * MiB + 17, 64 * MiB - 1, 64 * MiB}) {
        CAPTURE(length);
        const waypoints w = some(random, length);
        std::size_t sum = 0;
        for (std::size_t i = 0; i < w.segment_count(); ++i) {
            CHECK(w.segment_bytes(i) > 0);
            CHECK(w.segment_bytes(i) <= w.stride());
            if (i + 1 < w.segment_count()) {
                CHECK(w.segment_bytes(i) == w.stride());
                REQUIRE(w.state_after(i).has_value());
                CHECK(*w.state_after(i) == w.state_before(i + 1));
            } else {
                CHECK(!w.state_after(i).has_value());
            }
            sum += w.segment_bytes(i);
        }
        CHECK(sum == length);
        CHECK(w.segment_count() <= waypoints::segments_max);
        CHECK(w.state_before(0) == md5_state());
        const auto encoded = w.encode(block_name);
        CHECK(encoded.size() == 16 + 16 * (std::max<std::size_t>(w.segment_count(), 1) - 1));
        CHECK(encoded.size() <= waypoints::encoded_bytes_max);
        const auto decoded = waypoints::decode(encoded, length, block_name);
        REQUIRE(decoded.has_value());
        CHECK(*decoded == w);
    }
}

TEST_CASE("the encoded form is the one that is documented", "[digest][waypoints]") {
    const auto encoded = by_hand(1, 16, 2, 192 * KiB, 2);
    const auto w = waypoints::decode(encoded, 192 * KiB, block_name);
    REQUIRE(w.has_value());
    CHECK(w->stride() == 64 * KiB);
    CHECK(w->segment_count() == 3);
    CHECK(w->state_before(2).words[3] == 7 * 0x01020304);
    CHECK(w->encode(block_name) == encoded);
}

TEST_CASE("make refuses what the format cannot say", "[digest][waypoints]") {
    const std::vector<md5_state> states(64);
    const auto made = [&](std::size_t length, std::size_t stride, std::size_t count) {
        return waypoints::make(length, stride, std::span(states).first(count)).has_value();
    };
    CHECK(made(64 * MiB, MiB, 63));
    CHECK(made(64 * MiB, MiB, 64));  // With the state at the end, as a stream keeps it.
    CHECK(made(64 * MiB, 2 * MiB, 31));
    CHECK(!made(64 * MiB, MiB, 62));
    CHECK(!made(64 * MiB, 512 * KiB, 64));
    CHECK(!made(64 * MiB + 1, 2 * MiB, 64));
    CHECK(!made(MiB, 96 * KiB, 64));
    CHECK(!made(MiB, 32 * KiB, 64));
    CHECK(!made(MiB, 0, 64));
    CHECK(!made(MiB, 128 * MiB, 64));
}

TEST_CASE("decode refuses every single flipped bit", "[digest][waypoints]") {
    INFO("seed " << test::seed());
    std::mt19937_64 random(test::seed());
    for (const std::size_t length : {64 * KiB, 300 * KiB, 64 * MiB}) {
        auto encoded = some(random, length).encode(block_name);
        for (std::size_t bit = 0; bit < encoded.size() * 8; ++bit) {
            const auto mask = static_cast<std::byte>(1U << (bit % 8));
            encoded[bit / 8] ^= mask;
            CAPTURE(length, bit);
            REQUIRE(!waypoints::decode(encoded, length, block_name).has_value());
            encoded[bit / 8] ^= mask;
        }
        REQUIRE(waypoints::decode(encoded, length, block_name).has_value());
    }
}

TEST_CASE("decode refuses truncated, extended and foreign input", "[digest][waypoints]") {
    INFO("seed " << test::seed());
    std::mt19937_64 random(test::seed());
    const auto encoded = some(random, 64 * MiB).encode(block_name);
    for (std::size_t size = 0; size < encoded.size(); ++size) {
        REQUIRE(!waypoints::decode(std::span(encoded).first(size), 64 * MiB, block_name).has_value());
    }
    auto longer = encoded;
    longer.push_back(std::byte{0});
    CHECK(!waypoints::decode(longer, 64 * MiB, block_name).has_value());
    CHECK(!waypoints::decode(encoded, 64 * MiB - 1, block_name).has_value());
    CHECK(!waypoints::decode(encoded, 0, block_name).has_value());
    CHECK(!waypoints::decode(encoded, 64 * MiB, md5_of_nothing).has_value());
    for (int i = 0; i < 10000; ++i) {
        const auto junk = test::random_bytes(random, test::random_below(random, 1100));
        REQUIRE(!waypoints::decode(junk, test::random_below(random, 64 * MiB), block_name).has_value());
    }
}

TEST_CASE("decode refuses fields that disagree although the checksum is right", "[digest][waypoints]") {
    const auto good = [](std::span<const std::byte> bytes, std::size_t length) {
        return waypoints::decode(bytes, length, block_name).has_value();
    };
    constexpr std::uint32_t length = 192 * KiB;
    CHECK(good(by_hand(1, 16, 2, length, 2), length));
    CHECK(!good(by_hand(0, 16, 2, length, 2), length));  // another version
    CHECK(!good(by_hand(2, 16, 2, length, 2), length));
    CHECK(!good(by_hand(1, 15, 5, length, 5), length));   // a stride under 64 KiB
    CHECK(!good(by_hand(1, 27, 0, length, 0), length));   // over 64 MiB
    CHECK(!good(by_hand(1, 255, 0, length, 0), length));  // no shift count
    CHECK(!good(by_hand(1, 16, 1, length, 1), length));   // too few states
    CHECK(!good(by_hand(1, 16, 3, length, 3), length));   // too many
    CHECK(!good(by_hand(1, 16, 2, length, 1), length));   // a count that the size belies
    CHECK(!good(by_hand(1, 16, 1, length, 2), length));
    CHECK(!good(by_hand(1, 16, 0xffff, length, 2), length));
    CHECK(!good(by_hand(1, 26, 1, 128 * MiB, 1), 128 * MiB));            // a block over the limit
    CHECK(!good(by_hand(1, 16, 64, 65 * 64 * KiB, 64), 65 * 64 * KiB));  // too many segments
}

}  // namespace

TEST_CASE("waypoints are taken from states at a finer stride", "[digest][waypoints]") {
    std::mt19937_64 random(5);
    for (const std::size_t length :
         {std::size_t{0}, std::size_t{1}, 64 * KiB, 300 * KiB, 4 * MiB + 1, 33 * MiB, 64 * MiB}) {
        CAPTURE(length);
        const auto fine = random_states(random, length / (64 * KiB));
        const std::size_t stride = waypoints::stride_for(length);
        std::vector<md5_state> chosen;
        for (std::size_t at = stride; at < length; at += stride) chosen.push_back(fine[at / (64 * KiB) - 1]);
        const auto got = waypoints::from_capture(length, 64 * KiB, fine);
        CHECK(got == waypoints::make(length, stride, chosen));
        CHECK(got.has_value());
    }
    CHECK_FALSE(waypoints::from_capture(1 * MiB, 64 * KiB, random_states(random, 3)));   // Too few.
    CHECK_FALSE(waypoints::from_capture(1 * MiB, 128 * KiB, random_states(random, 8)));  // Coarser than what we write.
    CHECK_FALSE(waypoints::from_capture(65 * MiB, 64 * KiB, random_states(random, 2000)));
}

}  // namespace keepstore::digest
