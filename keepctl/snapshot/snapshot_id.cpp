#include "keepctl/snapshot/snapshot_id.hpp"

#include "base/hex.hpp"
#include "base/text.hpp"
#include "base/utc_text.hpp"

#include <fmt/format.h>
#include <openssl/rand.h>

#include <algorithm>
#include <new>

namespace keepstore::keepctl {
namespace {

constexpr std::string_view id_shape = "20261121T031500Z-7f3a9c2e51d04b68";
constexpr std::size_t nonce_digits_at = 17;

}  // namespace

std::optional<snapshot_id> snapshot_id::parse(std::string_view text) {
    if (text.size() != id_shape.size() || text[8] != 'T' || text[15] != 'Z' || text[16] != '-') return std::nullopt;
    if (!is_number(text.substr(0, 8)) || !is_number(text.substr(9, 6)) || !is_lower_hex(text.substr(nonce_digits_at)))
        return std::nullopt;
    return snapshot_id(std::string(text));
}

snapshot_id snapshot_id::make(std::chrono::sys_seconds at, std::string_view digits) {
    std::string time = utc_text(at);
    std::erase_if(time, [](char c) { return c == '-' || c == ':'; });
    return snapshot_id(fmt::format("{}-{}", time, digits));
}

std::array<std::uint8_t, 8> snapshot_id::nonce() const {
    std::array<std::uint8_t, 8> out{};
    for (std::size_t i = 0; i < out.size(); ++i) {
        const auto digit = [&](std::size_t n) { return hex_value(text_[nonce_digits_at + 2 * i + n]); };
        out[i] = static_cast<std::uint8_t>(digit(0) * 16 + digit(1));
    }
    return out;
}

std::string random_digits() {
    std::array<std::uint8_t, 8> bytes{};
    if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) throw std::bad_alloc();
    return to_hex(bytes);
}

std::string inventory_name(std::string_view prefix) {
    return prefix.empty() ? std::string("index.kinv") : fmt::format("index-{}.kinv", prefix);
}

}  // namespace keepstore::keepctl
