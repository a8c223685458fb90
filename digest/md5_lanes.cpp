// Compiled once per instruction set: foreach_target.h includes this file again for each, with
// HWY_NAMESPACE and HWY_TARGET set, and last for the static target, when HWY_ONCE is defined.
#include "digest/md5_lanes.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

// Not worth their code size (AVX3_DL, SSSE3), or without arrays of vectors, which the kernel uses
// (SVE, RVV): those run the next target down.
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_AVX3_DL | HWY_SSSE3 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "digest/md5_lanes.cpp"
#include <hwy/foreach_target.h>

#include <hwy/cache_control.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace keepstore::digest {
static_assert(std::endian::native == std::endian::little);  // Words are copied as they are.
namespace HWY_NAMESPACE {

#if HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128

namespace hn = hwy::HWY_NAMESPACE;

// RFC 1321 section 3.4: T[i] = floor(2^32 * abs(sin(i + 1))).
inline constexpr std::uint32_t sines[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};

// Rotations to the left, by round and step modulo 4.
inline constexpr int rotations[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

// Which word of the block step i uses.
constexpr int word_of(int i) {
    return (i < 16 ? i : i < 32 ? 5 * i + 1 : i < 48 ? 3 * i + 5 : 7 * i) % 16;
}

// How far ahead of the reading position each lane prefetches: sixteen streams are too many for the
// hardware prefetcher (5.8 instead of 8.4 GB/s without). Reaching beyond the end of the data is
// harmless, a prefetch cannot fault.
inline constexpr std::size_t prefetch_bytes = 1024;

// a += f(b, c, d), in an order that keeps the chain from the newest word, b, short.
template <int Round, class V>
HWY_INLINE V add_function(V a, V b, V c, V d) {
    // IfVecThenElse selects bits on AVX-512 only (vpternlog); elsewhere it is a blend by the bytes'
    // top bits and gives WRONG digests.
    if constexpr (Round == 0) {
#if HWY_TARGET == HWY_AVX3
        return hn::Add(a, hn::IfVecThenElse(b, c, d));
#else
        return hn::Add(a, hn::Xor(d, hn::And(b, hn::Xor(c, d))));
#endif
    } else if constexpr (Round == 1) {
#if HWY_TARGET == HWY_AVX3
        return hn::Add(a, hn::IfVecThenElse(d, b, c));
#else
        // The two halves have no bit in common, so that their `or` is a sum, and only one of them
        // waits for b.
        return hn::Add(hn::Add(a, hn::AndNot(d, c)), hn::And(d, b));
#endif
    } else if constexpr (Round == 2) {
#if HWY_TARGET == HWY_AVX3
        return hn::Add(a, hn::Xor3(b, c, d));
#else
        return hn::Add(a, hn::Xor(b, hn::Xor(c, d)));
#endif
    } else {
        // Plain xor for the complement: compilers join these three into one vpternlog, not so with
        // hn::Not.
        const auto ones = hn::Set(hn::DFromV<V>(), 0xffffffffU);
        return hn::Add(a, hn::Xor(c, hn::Or(b, hn::Xor(d, ones))));
    }
}

// `Sets` registers of lanes side by side: their chains are independent, which hides the latency of
// a step.
template <int I, int Sets, class D, class V>
HWY_INLINE void step(D d32, V* a, const V* b, const V* c, const V* d, const V (*words)[16]) {
    constexpr int rotation = rotations[I / 16][I % 4];
    for (int s = 0; s < Sets; ++s) {
        const V sum = hn::Add(a[s], hn::Add(words[s][word_of(I)], hn::Set(d32, sines[I])));
        a[s] = hn::Add(b[s], hn::RotateRight<32 - rotation>(add_function<I / 16>(sum, b[s], c[s], d[s])));
    }
}

template <int I, int Sets, class D, class V>
HWY_INLINE void four_steps(D d32, V* a, V* b, V* c, V* d, const V (*words)[16]) {
    step<I + 0, Sets>(d32, a, b, c, d, words);
    step<I + 1, Sets>(d32, d, a, b, c, words);
    step<I + 2, Sets>(d32, c, d, a, b, words);
    step<I + 3, Sets>(d32, b, c, d, a, words);
}

template <int I, int Sets, class D, class V>
HWY_INLINE void sixteen_steps(D d32, V* a, V* b, V* c, V* d, const V (*words)[16]) {
    four_steps<I + 0, Sets>(d32, a, b, c, d, words);
    four_steps<I + 4, Sets>(d32, a, b, c, d, words);
    four_steps<I + 8, Sets>(d32, a, b, c, d, words);
    four_steps<I + 12, Sets>(d32, a, b, c, d, words);
}

// 16 bytes of streams `data[0]`, `data[4]`, `data[8]`, ... side by side: one row of the
// transposition below.
template <class D>
    requires(hn::MaxLanes(D()) <= 4)
HWY_INLINE hn::Vec<D> load_row(D d32, const std::uint8_t* const* data, std::size_t offset) {
    return hn::BitCast(d32, hn::LoadU(hn::Repartition<std::uint8_t, D>(), data[0] + offset));
}
#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3
template <class D>
    requires(hn::MaxLanes(D()) > 4)
HWY_INLINE hn::Vec<D> load_row(D d32, const std::uint8_t* const* data, std::size_t offset) {
    const hn::Half<D> half;
    return hn::Combine(d32, load_row(half, data + hn::MaxLanes(half), offset), load_row(half, data, offset));
}
#endif

// Words [4 * Quarter, 4 * Quarter + 4) of the next block of all streams. Within each 128-bit part
// the 4x4 words are transposed, and since row j holds streams j, 4 + j, 8 + j, ..., the lanes come
// out in the order of the streams.
template <int Quarter, class D, class V>
HWY_INLINE void load_quarter(D d32, const std::uint8_t* const* data, std::size_t offset, V* words) {
    const hn::Repartition<std::uint64_t, D> d64;
    const std::size_t at = offset + Quarter * 16;
    const V row0 = load_row(d32, data + 0, at);
    const V row1 = load_row(d32, data + 1, at);
    const V row2 = load_row(d32, data + 2, at);
    const V row3 = load_row(d32, data + 3, at);
    const auto low01 = hn::BitCast(d64, hn::InterleaveLower(d32, row0, row1));
    const auto low23 = hn::BitCast(d64, hn::InterleaveLower(d32, row2, row3));
    const auto high01 = hn::BitCast(d64, hn::InterleaveUpper(d32, row0, row1));
    const auto high23 = hn::BitCast(d64, hn::InterleaveUpper(d32, row2, row3));
    words[Quarter * 4 + 0] = hn::BitCast(d32, hn::InterleaveLower(d64, low01, low23));
    words[Quarter * 4 + 1] = hn::BitCast(d32, hn::InterleaveUpper(d64, low01, low23));
    words[Quarter * 4 + 2] = hn::BitCast(d32, hn::InterleaveLower(d64, high01, high23));
    words[Quarter * 4 + 3] = hn::BitCast(d32, hn::InterleaveUpper(d64, high01, high23));
}

// Runs 1 to Sets * lanes-of-D occupied lanes. Spare lanes repeat the first: their loads hit the L1
// cache, and what they compute is dropped.
template <int Sets, class D>
HWY_NOINLINE void compress_lanes(D d32, std::span<const md5_lane> lanes, std::size_t blocks) {
    using vec = hn::Vec<D>;
    constexpr std::size_t width = hn::MaxLanes(D());
    constexpr std::size_t total = width * Sets;

    const std::uint8_t* data[total];
    HWY_ALIGN std::uint32_t columns[4][total];
    for (std::size_t i = 0; i < total; ++i) {
        const md5_lane& lane = lanes[i < lanes.size() ? i : 0];
        data[i] = reinterpret_cast<const std::uint8_t*>(lane.data);
        for (std::size_t w = 0; w < 4; ++w) columns[w][i] = lane.state->words[w];
    }

    vec a[Sets], b[Sets], c[Sets], d[Sets];
    for (std::size_t s = 0; s < Sets; ++s) {
        a[s] = hn::LoadU(d32, columns[0] + s * width);
        b[s] = hn::LoadU(d32, columns[1] + s * width);
        c[s] = hn::LoadU(d32, columns[2] + s * width);
        d[s] = hn::LoadU(d32, columns[3] + s * width);
    }

    const std::size_t end = blocks * md5_block_bytes;
    for (std::size_t offset = 0; offset < end; offset += md5_block_bytes) {
        vec words[Sets][16];
        for (std::size_t s = 0; s < Sets; ++s) {
            for (std::size_t i = 0; i < width; ++i) {
                hwy::Prefetch(data[s * width + i] + offset + prefetch_bytes);
            }
            load_quarter<0>(d32, data + s * width, offset, words[s]);
            load_quarter<1>(d32, data + s * width, offset, words[s]);
            load_quarter<2>(d32, data + s * width, offset, words[s]);
            load_quarter<3>(d32, data + s * width, offset, words[s]);
        }
        vec old_a[Sets], old_b[Sets], old_c[Sets], old_d[Sets];
        for (std::size_t s = 0; s < Sets; ++s) {
            old_a[s] = a[s];
            old_b[s] = b[s];
            old_c[s] = c[s];
            old_d[s] = d[s];
        }
        sixteen_steps<0, Sets>(d32, a, b, c, d, words);
        sixteen_steps<16, Sets>(d32, a, b, c, d, words);
        sixteen_steps<32, Sets>(d32, a, b, c, d, words);
        sixteen_steps<48, Sets>(d32, a, b, c, d, words);
        for (std::size_t s = 0; s < Sets; ++s) {
            a[s] = hn::Add(a[s], old_a[s]);
            b[s] = hn::Add(b[s], old_b[s]);
            c[s] = hn::Add(c[s], old_c[s]);
            d[s] = hn::Add(d[s], old_d[s]);
        }
    }

    for (std::size_t s = 0; s < Sets; ++s) {
        hn::StoreU(a[s], d32, columns[0] + s * width);
        hn::StoreU(b[s], d32, columns[1] + s * width);
        hn::StoreU(c[s], d32, columns[2] + s * width);
        hn::StoreU(d[s], d32, columns[3] + s * width);
    }
    for (std::size_t i = 0; i < lanes.size(); ++i) {
        for (std::size_t w = 0; w < 4; ++w) lanes[i].state->words[w] = columns[w][i];
    }
}

// As compress_lanes(), for digest_halves().
template <int Sets, class D>
HWY_NOINLINE void digest_lanes(D d32, std::span<const md5_half> heads, std::span<const md5_half> tails, md5_digest* out,
                               std::size_t row) {
    using vec = hn::Vec<D>;
    constexpr std::size_t width = hn::MaxLanes(D());
    constexpr std::size_t total = width * Sets;
    constexpr std::size_t half_words = 8;

    const std::uint8_t* data[total];
    for (std::size_t i = 0; i < total; ++i)
        data[i] = reinterpret_cast<const std::uint8_t*>(heads[i < heads.size() ? i : 0].data());
    const md5_state initial;
    vec words[Sets][16];
    vec head_a[Sets], head_b[Sets], head_c[Sets], head_d[Sets];
    for (std::size_t s = 0; s < Sets; ++s) {
        load_quarter<0>(d32, data + s * width, 0, words[s]);
        load_quarter<1>(d32, data + s * width, 0, words[s]);
        head_a[s] = hn::Set(d32, initial.words[0]);
        head_b[s] = hn::Set(d32, initial.words[1]);
        head_c[s] = hn::Set(d32, initial.words[2]);
        head_d[s] = hn::Set(d32, initial.words[3]);
    }
    // The first steps use no word of the tail.
    four_steps<0, Sets>(d32, head_a, head_b, head_c, head_d, words);
    four_steps<4, Sets>(d32, head_a, head_b, head_c, head_d, words);

    for (std::size_t t = 0; t < tails.size(); ++t) {
        std::uint32_t tail[half_words];
        std::memcpy(tail, tails[t].data(), sizeof tail);
        vec a[Sets], b[Sets], c[Sets], d[Sets];
        for (std::size_t s = 0; s < Sets; ++s) {
            for (std::size_t w = 0; w < half_words; ++w) words[s][half_words + w] = hn::Set(d32, tail[w]);
            a[s] = head_a[s];
            b[s] = head_b[s];
            c[s] = head_c[s];
            d[s] = head_d[s];
        }
        four_steps<8, Sets>(d32, a, b, c, d, words);
        four_steps<12, Sets>(d32, a, b, c, d, words);
        sixteen_steps<16, Sets>(d32, a, b, c, d, words);
        sixteen_steps<32, Sets>(d32, a, b, c, d, words);
        sixteen_steps<48, Sets>(d32, a, b, c, d, words);
        HWY_ALIGN std::uint32_t columns[4][total];
        for (std::size_t s = 0; s < Sets; ++s) {
            hn::StoreU(hn::Add(a[s], hn::Set(d32, initial.words[0])), d32, columns[0] + s * width);
            hn::StoreU(hn::Add(b[s], hn::Set(d32, initial.words[1])), d32, columns[1] + s * width);
            hn::StoreU(hn::Add(c[s], hn::Set(d32, initial.words[2])), d32, columns[2] + s * width);
            hn::StoreU(hn::Add(d[s], hn::Set(d32, initial.words[3])), d32, columns[3] + s * width);
        }
        for (std::size_t i = 0; i < heads.size(); ++i) {
            const std::uint32_t digest[4] = {columns[0][i], columns[1][i], columns[2][i], columns[3][i]};
            std::memcpy(out[i * row + t].bytes.data(), digest, sizeof digest);
        }
    }
}

void digest_halves(std::span<const md5_half> heads, std::span<const md5_half> tails, md5_digest* out, std::size_t row) {
    using wide = hn::CappedTag<std::uint32_t, 16>;
    if (heads.empty()) return;
    if (heads.size() > hn::MaxLanes(wide()))
        digest_lanes<2>(wide(), heads, tails, out, row);
    else
        digest_lanes<1>(wide(), heads, tails, out, row);
}

void compress(std::span<const md5_lane> lanes, std::size_t blocks) {
    using wide = hn::CappedTag<std::uint32_t, 16>;
    constexpr std::size_t width = hn::MaxLanes(wide());
    static_assert(2 * width <= md5_lanes_max);

    std::array<md5_lane, 2 * width> occupied;
    std::size_t count = 0;
    for (const md5_lane& lane : lanes) {
        if (lane.state) occupied.at(count++) = lane;
    }
    const auto active = std::span<const md5_lane>(occupied).first(count);
    if (count == 0 || blocks == 0) return;
    if (count == 1) {
        md5_compress(*active[0].state, {active[0].data, blocks * md5_block_bytes});
    } else if (count > width) {
        compress_lanes<2>(wide(), active, blocks);
    } else {
        compress_lanes<1>(wide(), active, blocks);
    }
}

inline constexpr std::size_t lane_count = 2 * hn::MaxLanes(hn::CappedTag<std::uint32_t, 16>());

#endif  // a target with vectors

}  // namespace HWY_NAMESPACE
}  // namespace keepstore::digest
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace keepstore::digest {
namespace {

void compress_scalar(std::span<const md5_lane> lanes, std::size_t blocks) {
    for (const md5_lane& lane : lanes) {
        if (lane.state) md5_compress(*lane.state, {lane.data, blocks * md5_block_bytes});
    }
}

void digest_halves_scalar(std::span<const md5_half> heads, std::span<const md5_half> tails, md5_digest* out,
                          std::size_t row) {
    std::array<std::byte, md5_block_bytes> block;
    for (std::size_t h = 0; h < heads.size(); ++h) {
        std::ranges::copy(heads[h], block.begin());
        for (std::size_t t = 0; t < tails.size(); ++t) {
            std::ranges::copy(tails[t], block.begin() + heads[h].size());
            md5_state state;
            md5_compress(state, block);
            std::memcpy(out[h * row + t].bytes.data(), state.words.data(), sizeof state.words);
        }
    }
}

std::vector<md5_kernel> find_kernels() {
    [[maybe_unused]] const auto supported = hwy::SupportedTargets();
    std::vector<md5_kernel> found;
#if HWY_TARGETS & HWY_AVX3
    if (supported & HWY_AVX3) found.push_back({"avx512", N_AVX3::lane_count, N_AVX3::compress, N_AVX3::digest_halves});
#endif
#if HWY_TARGETS & HWY_AVX2
    if (supported & HWY_AVX2) found.push_back({"avx2", N_AVX2::lane_count, N_AVX2::compress, N_AVX2::digest_halves});
#endif
#if HWY_TARGETS & HWY_SSE4
    if (supported & HWY_SSE4) found.push_back({"sse4", N_SSE4::lane_count, N_SSE4::compress, N_SSE4::digest_halves});
#endif
#if HWY_TARGETS & HWY_NEON
    if (supported & HWY_NEON) found.push_back({"neon", N_NEON::lane_count, N_NEON::compress, N_NEON::digest_halves});
#endif
    // As many lanes as a small vector, so that streams are treated alike; they gain nothing from
    // each other.
    found.push_back({"scalar", 4, compress_scalar, digest_halves_scalar});
    return found;
}

}  // namespace

std::span<const md5_kernel> md5_kernels() {
    static const std::vector<md5_kernel> kernels = find_kernels();
    return kernels;
}

const md5_kernel* find_md5_kernel(std::string_view name) {
    const auto kernels = md5_kernels();
    const auto it = std::ranges::find(kernels, name, &md5_kernel::name);
    return it == kernels.end() ? nullptr : &*it;
}

const md5_kernel& choose_md5_kernel(const char* wanted) {
    const md5_kernel* const found = wanted ? find_md5_kernel(wanted) : nullptr;
    return found ? *found : md5_kernels().front();
}

const md5_kernel& default_md5_kernel() {
    static const md5_kernel& kernel = choose_md5_kernel(std::getenv("KEEPSTORE_DIGEST_TARGET"));
    return kernel;
}

}  // namespace keepstore::digest

#endif  // HWY_ONCE
