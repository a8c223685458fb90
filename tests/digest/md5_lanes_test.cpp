#include "digest/md5_lanes.hpp"

#include "tests/digest/evp_md5.hpp"
#include "tests/digest/random_bytes.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

namespace keepstore::digest {
namespace {

using bytes = std::vector<std::byte>;

// Hashes whole messages of any lengths through the kernel as the engine does: the common run of all
// lanes that still have blocks, again and again; lanes that are through are empty.
std::vector<md5_digest> hash_all(const md5_kernel& kernel, std::span<const std::span<const std::byte>> messages) {
    std::vector<md5_state> states(messages.size());
    std::vector<std::size_t> at(messages.size());
    for (;;) {
        std::array<md5_lane, md5_lanes_max> lanes{};
        std::size_t run = SIZE_MAX;
        for (std::size_t i = 0; i < messages.size(); ++i) {
            const std::size_t blocks = (messages[i].size() - at[i]) / md5_block_bytes;
            if (blocks == 0) continue;
            lanes[i] = {&states[i], messages[i].data() + at[i]};
            run = std::min(run, blocks);
        }
        if (run == SIZE_MAX) break;
        kernel.compress(std::span(lanes).first(messages.size()), run);
        for (std::size_t i = 0; i < messages.size(); ++i) {
            if (lanes[i].state) at[i] += run * md5_block_bytes;
        }
    }
    std::vector<md5_digest> digests;
    for (std::size_t i = 0; i < messages.size(); ++i) {
        digests.push_back(md5_finish(states[i], messages[i].subspan(at[i]), messages[i].size()));
    }
    return digests;
}

TEST_CASE("there is a scalar kernel, and every kernel has a distinct name", "[digest][lanes]") {
    const auto kernels = md5_kernels();
    REQUIRE(!kernels.empty());
    CHECK(kernels.back().name == "scalar");
    std::string names;
    for (const auto& kernel : kernels) {
        names += std::string(kernel.name) + " ";
        CHECK(kernel.lanes >= 1);
        CHECK(kernel.lanes <= md5_lanes_max);
        CHECK(find_md5_kernel(kernel.name) == &kernel);
    }
    WARN("kernels of this CPU: " << names);
#if defined(__x86_64__)
    CHECK((__builtin_cpu_supports("avx2") != 0) == (find_md5_kernel("avx2") != nullptr));
    CHECK((__builtin_cpu_supports("sse4.2") != 0) == (find_md5_kernel("sse4") != nullptr));
    CHECK((__builtin_cpu_supports("avx512bw") != 0) == (find_md5_kernel("avx512") != nullptr));
#endif
}

TEST_CASE("the wanted kernel is chosen, an unknown one is ignored", "[digest][lanes]") {
    for (const auto& kernel : md5_kernels()) {
        CHECK(&choose_md5_kernel(std::string(kernel.name).c_str()) == &kernel);
    }
    const md5_kernel* const best = &md5_kernels().front();
    CHECK(&choose_md5_kernel(nullptr) == best);
    CHECK(&choose_md5_kernel("") == best);
    CHECK(&choose_md5_kernel("mmx") == best);
    // The environment of this process decides once, whatever it is.
    CHECK(&default_md5_kernel() == &choose_md5_kernel(std::getenv("KEEPSTORE_DIGEST_TARGET")));
}

TEST_CASE("every kernel agrees with EVP for lengths 0 to 257 in every lane", "[digest][lanes]") {
    INFO("seed " << test::seed());
    std::mt19937_64 random(test::seed());
    const bytes data = test::random_bytes(random, 257 + 64);
    for (const auto& kernel : md5_kernels()) {
        CAPTURE(kernel.name);
        for (std::size_t size = 0; size <= 257; ++size) {
            CAPTURE(size);
            // Lanes of one length and different content (each starts elsewhere, so at every
            // alignment too).
            std::vector<std::span<const std::byte>> messages;
            for (std::size_t i = 0; i < kernel.lanes; ++i) {
                messages.push_back(std::span(data).subspan(i, size));
            }
            const auto digests = hash_all(kernel, messages);
            for (std::size_t i = 0; i < kernel.lanes; ++i) {
                CAPTURE(i);
                REQUIRE(digests[i] == test::evp_md5(messages[i]));
            }
        }
    }
}

TEST_CASE("every kernel takes any number of lanes of unequal lengths", "[digest][lanes]") {
    INFO("seed " << test::seed());
    std::mt19937_64 random(test::seed());
    for (const auto& kernel : md5_kernels()) {
        CAPTURE(kernel.name);
        for (std::size_t lanes = 1; lanes <= kernel.lanes; ++lanes) {
            CAPTURE(lanes);
            std::vector<bytes> data;
            std::vector<std::span<const std::byte>> messages;
            for (std::size_t i = 0; i < lanes; ++i) {
                const std::size_t size = test::random_below(random, 5000);
                const std::size_t skew = test::random_below(random, 64);
                data.push_back(test::random_bytes(random, skew + size));
                messages.push_back(std::span(data.back()).subspan(skew));
            }
            const auto digests = hash_all(kernel, messages);
            for (std::size_t i = 0; i < lanes; ++i) {
                CAPTURE(i, messages[i].size());
                REQUIRE(digests[i] == test::evp_md5(messages[i]));
            }
        }
    }
}

TEST_CASE("empty lanes anywhere are left alone", "[digest][lanes]") {
    INFO("seed " << test::seed());
    std::mt19937_64 random(test::seed());
    const bytes data = test::random_bytes(random, 64 * 64);
    for (const auto& kernel : md5_kernels()) {
        CAPTURE(kernel.name);
        for (int round = 0; round < 200; ++round) {
            std::array<md5_state, md5_lanes_max> states;
            std::array<md5_state, md5_lanes_max> expected;
            std::array<md5_lane, md5_lanes_max> lanes{};
            const std::size_t blocks = test::random_below(random, 4);
            for (std::size_t i = 0; i < kernel.lanes; ++i) {
                for (auto& word : states[i].words) word = static_cast<std::uint32_t>(random());
                expected[i] = states[i];
                if (random() % 3 == 0) continue;
                const std::size_t offset = test::random_below(random, data.size() - blocks * 64);
                lanes[i] = {&states[i], data.data() + offset};
                md5_compress(expected[i], std::span(data).subspan(offset, blocks * 64));
            }
            kernel.compress(std::span(lanes).first(kernel.lanes), blocks);
            for (std::size_t i = 0; i < md5_lanes_max; ++i) REQUIRE(states[i] == expected[i]);
        }
        kernel.compress({}, 1);
        std::array<md5_lane, 3> none{};
        kernel.compress(none, 5);
    }
}

TEST_CASE("names with the same endings have the digests of the whole messages", "[digest][lanes]") {
    INFO("seed " << test::seed());
    std::mt19937_64 random(test::seed());
    for (const auto& kernel : md5_kernels()) {
        CAPTURE(kernel.name);
        for (std::size_t count = 0; count <= kernel.lanes; ++count) {
            std::vector<md5_half> heads(count);
            for (auto& head : heads) std::ranges::copy(test::random_bytes(random, head.size()), head.begin());
            std::vector<bytes> endings;
            std::vector<md5_half> tails;
            for (const std::size_t size : {std::size_t{15}, std::size_t{0}, std::size_t{23}}) {
                endings.push_back(test::random_bytes(random, size));
                md5_half tail{};
                std::ranges::copy(endings.back(), tail.begin());
                tail.at(size) = std::byte{0x80};
                const std::uint64_t bits = 8 * (tail.size() + size);
                std::memcpy(tail.data() + tail.size() - sizeof bits, &bits, sizeof bits);
                tails.push_back(tail);
            }
            // A row may be longer than the tails: the rest of it is left alone.
            const std::size_t row = tails.size() + 1;
            std::vector<md5_digest> found(count * row);
            kernel.digest_halves(heads, tails, found.data(), row);
            for (std::size_t h = 0; h < count; ++h) {
                for (std::size_t t = 0; t < tails.size(); ++t) {
                    bytes message(heads[h].begin(), heads[h].end());
                    message.insert(message.end(), endings[t].begin(), endings[t].end());
                    REQUIRE(found[h * row + t] == test::evp_md5(message));
                }
                REQUIRE(found[h * row + tails.size()] == md5_digest{});
            }
            kernel.digest_halves(heads, {}, found.data(), row);
        }
    }
}

TEST_CASE("every kernel agrees with EVP over a long random sweep", "[digest][lanes]") {
    INFO("seed " << test::seed());
    std::mt19937_64 random(test::seed());
    for (const auto& kernel : md5_kernels()) {
        CAPTURE(kernel.name);
        std::uint64_t hashed = 0;
        while (hashed < 24 * 1024 * 1024) {
            const std::size_t lanes = 1 + test::random_below(random, kernel.lanes);
            const std::size_t size_max = std::size_t{1} << (4 + test::random_below(random, 15));
            std::vector<bytes> data;
            std::vector<std::span<const std::byte>> messages;
            for (std::size_t i = 0; i < lanes; ++i) {
                data.push_back(test::random_bytes(random, test::random_below(random, size_max + 1)));
                hashed += data.back().size() + 1;
            }
            for (const auto& d : data) messages.emplace_back(d);
            const auto digests = hash_all(kernel, messages);
            for (std::size_t i = 0; i < lanes; ++i) REQUIRE(digests[i] == test::evp_md5(messages[i]));
        }
    }
}

}  // namespace
}  // namespace keepstore::digest
