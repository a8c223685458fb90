/// Seeded random bytes for the digest tests. The seed is printed with a failure (INFO) and set by
/// KEEPSTORE_TEST_SEED.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

namespace keepstore::test {

inline std::uint64_t seed() {
    static const std::uint64_t value = [] {
        if (const char* given = std::getenv("KEEPSTORE_TEST_SEED")) {
            return std::uint64_t{std::strtoull(given, nullptr, 10)};
        }
        return std::uint64_t{std::random_device()()};
    }();
    return value;
}

inline std::vector<std::byte> random_bytes(std::mt19937_64& random, std::size_t size) {
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; i += 8) {
        const std::uint64_t word = random();
        std::memcpy(bytes.data() + i, &word, std::min<std::size_t>(8, size - i));
    }
    return bytes;
}

inline std::size_t random_below(std::mt19937_64& random, std::size_t end) {
    return std::uniform_int_distribution<std::size_t>(0, end - 1)(random);
}

}  // namespace keepstore::test
