#include "digest/waypoints.hpp"

#include "base/limits.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>

namespace keepstore::digest {
namespace {

constexpr std::uint8_t version = 1;
constexpr std::size_t header_bytes = 8;
constexpr std::size_t state_bytes = 16;
constexpr std::size_t checksum_bytes = 8;

static_assert(limits::block_size_bytes_max <= 0xffffffffU);
static_assert(limits::block_size_bytes_max / waypoints::segments_max <= std::size_t{1} << 26);

constexpr std::size_t segments(std::size_t length, std::size_t stride) {
    return (length + stride - 1) / stride;
}

constexpr std::size_t inner_boundaries(std::size_t length, std::size_t stride) {
    return length == 0 ? 0 : segments(length, stride) - 1;
}

bool allowed(std::size_t length, std::size_t stride) {
    return length <= limits::block_size_bytes_max && std::has_single_bit(stride) &&
           stride >= waypoints::stride_bytes_min && stride <= limits::block_size_bytes_max &&
           segments(length, stride) <= waypoints::segments_max;
}

void put(std::vector<std::byte>& out, std::size_t value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
        out.push_back(static_cast<std::byte>((value >> (8 * i)) & 0xff));
    }
}

std::uint32_t get(std::span<const std::byte> bytes) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        value |= std::to_integer<std::uint32_t>(bytes[i]) << (8 * i);
    }
    return value;
}

std::array<std::byte, checksum_bytes> checksum(std::span<const std::byte> bytes, const md5_digest& block) {
    md5 hash;
    hash.update(bytes);
    hash.update(std::as_bytes(std::span(block.bytes)));
    const md5_digest digest = hash.finish();
    std::array<std::byte, checksum_bytes> sum;
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = std::byte{digest.bytes[i]};
    return sum;
}

}  // namespace

std::size_t waypoints::stride_for(std::size_t length) {
    const std::size_t smallest = (length + segments_max - 1) / segments_max;
    return std::max(stride_bytes_min, std::bit_ceil(smallest));
}

std::optional<waypoints> waypoints::make(std::size_t length, std::size_t stride, std::span<const md5_state> states) {
    if (!allowed(length, stride)) return std::nullopt;
    const std::size_t inner = inner_boundaries(length, stride);
    if (states.size() < inner) return std::nullopt;
    waypoints made(length, stride);
    made.states_.insert(made.states_.end(), states.begin(), states.begin() + static_cast<std::ptrdiff_t>(inner));
    return made;
}

std::size_t waypoints::segment_count() const noexcept {
    return segments(length_, stride_);
}

std::size_t waypoints::segment_bytes(std::size_t i) const {
    return std::min(stride_, length_ - i * stride_);
}

const md5_state& waypoints::state_before(std::size_t i) const {
    return states_.at(i);
}

std::optional<md5_state> waypoints::state_after(std::size_t i) const {
    if (i + 1 >= states_.size()) return std::nullopt;
    return states_[i + 1];
}

std::optional<waypoints> waypoints::from_capture(std::size_t length, std::size_t captured_stride,
                                                 std::span<const md5_state> states) {
    if (length > limits::block_size_bytes_max || captured_stride == 0) return std::nullopt;
    const std::size_t stride = stride_for(length);
    if (stride % captured_stride != 0) return std::nullopt;
    std::vector<md5_state> chosen;
    for (std::size_t at = stride; at < length; at += stride) {
        const std::size_t i = at / captured_stride - 1;
        if (i >= states.size()) return std::nullopt;
        chosen.push_back(states[i]);
    }
    return make(length, stride, chosen);
}

std::vector<std::byte> waypoints::encode(const md5_digest& block) const {
    std::vector<std::byte> out;
    const std::size_t count = states_.size() - 1;
    out.reserve(header_bytes + count * state_bytes + checksum_bytes);
    put(out, version, 1);
    put(out, static_cast<std::size_t>(std::countr_zero(stride_)), 1);
    put(out, count, 2);
    put(out, length_, 4);
    for (std::size_t i = 1; i < states_.size(); ++i) {
        for (const std::uint32_t word : states_[i].words) put(out, word, 4);
    }
    const auto sum = checksum(out, block);
    out.insert(out.end(), sum.begin(), sum.end());
    return out;
}

std::optional<waypoints> waypoints::decode(std::span<const std::byte> bytes, std::size_t block_length,
                                           const md5_digest& block) {
    if (bytes.size() < header_bytes + checksum_bytes || bytes.size() > encoded_bytes_max) {
        return std::nullopt;
    }
    if (get(bytes.first(1)) != version) return std::nullopt;
    const auto content = bytes.first(bytes.size() - checksum_bytes);
    if (!std::ranges::equal(checksum(content, block), bytes.last(checksum_bytes))) return std::nullopt;

    const std::uint32_t stride_log2 = get(bytes.subspan(1, 1));
    const std::size_t count = get(bytes.subspan(2, 2));
    const std::size_t length = get(bytes.subspan(4, 4));
    if (length != block_length || stride_log2 > 26) return std::nullopt;
    const std::size_t stride = std::size_t{1} << stride_log2;
    if (!allowed(length, stride) || count != inner_boundaries(length, stride) ||
        content.size() != header_bytes + count * state_bytes) {
        return std::nullopt;
    }
    std::vector<md5_state> states(count);
    for (std::size_t i = 0; i < count; ++i) {
        for (std::size_t w = 0; w < 4; ++w) {
            states[i].words[w] = get(content.subspan(header_bytes + i * state_bytes + w * 4, 4));
        }
    }
    return make(length, stride, states);
}

}  // namespace keepstore::digest
