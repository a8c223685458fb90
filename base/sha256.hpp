/// SHA-256 (FIPS 180-4), by OpenSSL. Pure functions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace keepstore {

using sha256_digest = std::array<std::uint8_t, 32>;

/// \throws std::bad_alloc: OpenSSL can fail here for lack of memory only.
[[nodiscard]] sha256_digest sha256(std::span<const std::byte> bytes);
[[nodiscard]] sha256_digest sha256(std::string_view text);

}  // namespace keepstore
