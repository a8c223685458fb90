#include "keepctl/balance/weights.hpp"

#include "protocol/rendezvous.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace keepstore::keepctl::balance {
namespace {

constexpr std::size_t name_characters = 32;

constexpr std::uint8_t hex_digit(unsigned value) noexcept {
    return static_cast<std::uint8_t>(value < 10 ? '0' + value : 'a' - 10 + value);
}

/// Without a table, so that a compiler does sixteen digits at a time.
void write_hex(const md5_digest& block, std::byte* out) {
    std::array<std::uint8_t, name_characters> text;
    for (std::size_t i = 0; i < block.bytes.size(); ++i) {
        text[2 * i] = hex_digit(block.bytes[i] >> 4U);
        text[2 * i + 1] = hex_digit(block.bytes[i] & 15U);
    }
    std::memcpy(out, text.data(), text.size());
}

md5_digest digest_of(const digest::md5_state& state) {
    static_assert(std::endian::native == std::endian::little);
    md5_digest out;
    std::memcpy(out.bytes.data(), state.words.data(), out.bytes.size());
    return out;
}

}  // namespace

weights::weights(const cluster& all, const digest::md5_kernel& kernel)
    : kernel_(kernel),
      servers_(all.servers.size()),
      columns_(all.servers.size() + all.mounts.size()),
      names_(kernel.lanes),
      states_(kernel.lanes),
      lanes_(kernel.lanes),
      found_(kernel.lanes * columns_) {
    std::vector<std::size_t> mounts_of(all.servers.size());
    for (const auto& m : all.mounts) ++mounts_of[m.server];
    for (std::size_t i = 0; i < servers_; ++i) add(protocol::rendezvous_tail(all.servers[i].identity), i);
    for (std::size_t i = 0; i < all.mounts.size(); ++i) {
        const auto& m = all.mounts[i];
        if (mounts_of[m.server] > 1) add(all.devices[m.device], servers_ + i);
    }
    std::size_t longest = 0;
    for (const auto& t : long_texts_) longest = std::max(longest, name_characters + t.bytes.size());
    messages_.resize(kernel_.lanes * longest);
}

void weights::add(std::string_view tail, std::size_t column) {
    auto bytes = padded(tail);
    digest::md5_half half;
    if (bytes.size() == half.size() && tails_.size() == column) {
        std::ranges::copy(bytes, half.begin());
        tails_.push_back(half);
    } else {
        long_texts_.push_back({.bytes = std::move(bytes), .column = column});
    }
}

// RFC 1321 3.1 and 3.2: a one bit, zeros, and the length in bits.
std::vector<std::byte> weights::padded(std::string_view tail) {
    constexpr std::size_t length_bytes = 8;
    const std::size_t length = name_characters + tail.size();
    const std::size_t blocks = (length + 1 + length_bytes + digest::md5_block_bytes - 1) / digest::md5_block_bytes;
    std::vector<std::byte> out(blocks * digest::md5_block_bytes - name_characters);
    std::memcpy(out.data(), tail.data(), tail.size());
    out[tail.size()] = std::byte{0x80};
    const std::uint64_t bits = 8 * length;
    std::memcpy(out.data() + out.size() - length_bytes, &bits, length_bytes);
    return out;
}

void weights::compute(std::span<const md5_digest> blocks) {
    for (std::size_t i = 0; i < blocks.size(); ++i) write_hex(blocks[i], names_[i].data());
    kernel_.digest_halves(std::span(names_).first(blocks.size()), tails_, found_.data(), columns_);
    for (const auto& t : long_texts_) compute_long(t, blocks.size());
}

void weights::compute_long(const long_text& t, std::size_t blocks) {
    const auto bytes = name_characters + t.bytes.size();
    for (std::size_t i = 0; i < blocks; ++i) {
        std::byte* const message = messages_.data() + i * bytes;
        std::ranges::copy(names_[i], message);
        std::ranges::copy(t.bytes, message + name_characters);
        states_[i] = {};
        lanes_[i] = {.state = &states_[i], .data = message};
    }
    kernel_.compress(std::span(lanes_).first(blocks), bytes / digest::md5_block_bytes);
    for (std::size_t i = 0; i < blocks; ++i) found_[i * columns_ + t.column] = digest_of(states_[i]);
}

std::span<const md5_digest> weights::of_servers(std::size_t number) const {
    return std::span(found_).subspan(number * columns_, servers_);
}

std::span<const md5_digest> weights::of_mounts(std::size_t number) const {
    return std::span(found_).subspan(number * columns_ + servers_, columns_ - servers_);
}

}  // namespace keepstore::keepctl::balance
