#include "keepctl/balance/weights.hpp"

#include "protocol/rendezvous.hpp"

#include <bit>
#include <cstring>

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
    : kernel_(kernel), servers_(all.servers.size()), columns_(all.servers.size() + all.mounts.size()) {
    std::vector<std::size_t> mounts_of(all.servers.size());
    for (const auto& m : all.mounts) ++mounts_of[m.server];
    for (std::size_t i = 0; i < servers_; ++i)
        texts_.push_back(padded(protocol::rendezvous_tail(all.servers[i].identity), i));
    for (std::size_t i = 0; i < all.mounts.size(); ++i) {
        const auto& m = all.mounts[i];
        if (mounts_of[m.server] > 1) texts_.push_back(padded(all.devices[m.device], servers_ + i));
    }
    for (const auto& t : texts_) message_bytes_ = std::max(message_bytes_, t.bytes.size());
    messages_.resize(kernel_.lanes * message_bytes_);
    states_.resize(kernel_.lanes);
    lanes_.resize(kernel_.lanes);
    found_.resize(kernel_.lanes * columns_);
}

// RFC 1321 3.1 and 3.2: a one bit, zeros, and the length in bits.
weights::text weights::padded(std::string_view tail, std::size_t column) {
    constexpr std::size_t length_bytes = 8;
    const std::size_t length = name_characters + tail.size();
    const std::size_t blocks = (length + 1 + length_bytes + digest::md5_block_bytes - 1) / digest::md5_block_bytes;
    text out{.bytes = std::vector<std::byte>(blocks * digest::md5_block_bytes), .column = column};
    std::memcpy(out.bytes.data() + name_characters, tail.data(), tail.size());
    out.bytes[length] = std::byte{0x80};
    const std::uint64_t bits = 8 * length;
    std::memcpy(out.bytes.data() + out.bytes.size() - length_bytes, &bits, length_bytes);
    return out;
}

void weights::compute(std::span<const md5_digest> blocks) {
    for (std::size_t i = 0; i < blocks.size(); ++i) write_hex(blocks[i], messages_.data() + i * message_bytes_);
    for (const auto& t : texts_) compute_one(t, blocks.size());
}

void weights::compute_one(const text& t, std::size_t blocks) {
    for (std::size_t i = 0; i < blocks; ++i) {
        std::byte* const message = messages_.data() + i * message_bytes_;
        std::memcpy(message + name_characters, t.bytes.data() + name_characters, t.bytes.size() - name_characters);
        states_[i] = {};
        lanes_[i] = {.state = &states_[i], .data = message};
    }
    kernel_.compress(std::span(lanes_).first(blocks), t.bytes.size() / digest::md5_block_bytes);
    for (std::size_t i = 0; i < blocks; ++i) found_[i * columns_ + t.column] = digest_of(states_[i]);
}

std::span<const md5_digest> weights::of_servers(std::size_t number) const {
    return std::span(found_).subspan(number * columns_, servers_);
}

std::span<const md5_digest> weights::of_mounts(std::size_t number) const {
    return std::span(found_).subspan(number * columns_ + servers_, columns_ - servers_);
}

}  // namespace keepstore::keepctl::balance
