#include "keepctl/snapshot/inventory.hpp"

#include "base/hex.hpp"
#include "tests/keepctl/snapshot/golden.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <random>

using namespace keepstore;
using namespace keepstore::keepctl;
using namespace keepstore::keepctl::test;

namespace {

std::vector<std::byte> all_of(const object_bytes& object) {
    std::vector<std::byte> out(object.size());
    object.copy(0, out);
    return out;
}

inventory_buffer buffer_of(std::span<const std::byte> bytes) {
    inventory_buffer out(bytes.size());
    std::ranges::copy(bytes, out.bytes().begin());
    return out;
}

result<std::vector<entry>> decoded(std::span<const std::byte> bytes, std::string_view prefix = "",
                                   std::size_t mounts = 2) {
    const auto buffer = buffer_of(bytes);
    KS_TRY(const auto records, buffer.decode({.id = golden_id, .prefix = prefix, .mounts = mounts}));
    return std::vector<entry>(records.begin(), records.end());
}

std::vector<entry> random_entries(std::size_t count, unsigned seed) {
    std::mt19937_64 random(seed);
    std::vector<entry> out(count);
    for (auto& e : out) {
        for (auto& b : e.block.bytes) b = static_cast<std::uint8_t>(random());
        e.block.bytes[0] = static_cast<std::uint8_t>(0xa0 | (e.block.bytes[0] & 15));
        e.size = static_cast<std::uint32_t>(random() % 67'108'865);
        e.mount = static_cast<std::uint16_t>(random() % 2);
        e.mtime = static_cast<std::int64_t>(random());
    }
    sort_entries(out);
    return out;
}

}  // namespace

TEST_CASE("an inventory has the bytes of its format", "[keepctl][snapshot][inventory]") {
    const inventory object(golden_id, "", golden_entries());
    const auto bytes = all_of(object);
    const auto golden = std::as_bytes(std::span(golden_inventory));
    CHECK(std::ranges::equal(bytes, golden));
    CHECK(to_hex(sha256_of(object)) == "aac5112a63764fa6356188d6918f4df1d60363e572a107d32b6153787ef7ff6c");
    const auto back = decoded(golden);
    REQUIRE(back);
    CHECK(*back == golden_entries());
}

TEST_CASE("an inventory with any byte changed is refused", "[keepctl][snapshot][inventory]") {
    std::vector<std::byte> bytes = all_of(inventory(golden_id, "", golden_entries()));
    for (auto& b : bytes) {
        const auto good = b;
        for (unsigned value = 0; value < 256; ++value) {
            b = static_cast<std::byte>(value);
            if (b == good) continue;
            CAPTURE(&b - bytes.data(), value);
            REQUIRE_FALSE(decoded(bytes));
        }
        b = good;
    }
    CHECK(decoded(bytes));
}

TEST_CASE("an inventory that is cut or continued at any byte is refused", "[keepctl][snapshot][inventory]") {
    const std::vector<std::byte> bytes = all_of(inventory(golden_id, "", golden_entries()));
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        CAPTURE(size);
        REQUIRE_FALSE(decoded(std::span(bytes).first(size)));
    }
    for (const std::size_t more : {1U, 4U, 32U, 64U, 196U}) {
        auto longer = bytes;
        longer.insert(longer.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(more));
        CHECK_FALSE(decoded(longer));
    }
}

TEST_CASE("an inventory of another snapshot, shard or set of mounts is refused", "[keepctl][snapshot][inventory]") {
    const auto bytes = all_of(inventory(golden_id, "", golden_entries()));
    CHECK_FALSE(decoded(bytes, "3"));
    CHECK_FALSE(decoded(bytes, "", 1));
    const auto buffer = buffer_of(bytes);
    const auto other = *snapshot_id::parse("20261121T031500Z-7f3a9c2e51d04b69");
    CHECK_FALSE(buffer.decode({.id = other, .prefix = "", .mounts = 2}));
    // With good checksums throughout: only the order, the prefix and the values are wrong.
    const auto refuses = [](std::vector<entry> entries, std::string_view prefix = "") {
        return !decoded(all_of(inventory(golden_id, prefix, std::move(entries))), prefix);
    };
    auto entries = golden_entries();
    CHECK_FALSE(refuses(entries));
    std::swap(entries[1], entries[2]);
    CHECK(refuses(entries));
    entries = golden_entries();
    entries[2] = entries[1];
    CHECK(refuses(entries));
    entries = golden_entries();
    CHECK(refuses(entries, "3"));
    CHECK_FALSE(refuses({entries[0]}, "3"));
    CHECK_FALSE(refuses({entries[0]}, "37b"));
    CHECK(refuses({entries[0]}, "37c"));
    entries[0].flags = 1;
    CHECK(refuses(entries));
    entries = golden_entries();
    entries[0].size = 67'108'865;
    CHECK(refuses(entries));
}

TEST_CASE("inventories of all sizes are read back, in any pieces", "[keepctl][snapshot][inventory]") {
    for (const std::size_t count : {0U, 1U, 2047U, 2048U, 2049U, 4096U, 10'000U}) {
        CAPTURE(count);
        const auto entries = random_entries(count, static_cast<unsigned>(count));
        const inventory object(golden_id, "a", entries);
        CHECK(object.size() == inventory_bytes(count));
        const auto bytes = all_of(object);
        const auto back = decoded(bytes, "a");
        REQUIRE(back);
        CHECK(*back == entries);
        std::vector<std::byte> pieces(bytes.size());
        std::minstd_rand random(5);
        for (std::size_t at = 0; at < pieces.size();) {
            const auto part =
                std::span(pieces).subspan(at, std::min<std::size_t>(1 + random() % 9000, pieces.size() - at));
            object.copy(at, part);
            at += part.size();
        }
        CHECK(pieces == bytes);
    }
}
