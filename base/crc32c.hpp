/// CRC-32C (Castagnoli; RFC 3720 appendix B.4), with the processor's instruction where it has one. A pure function.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace keepstore {

/// Returns the checksum of `bytes`, or, with the checksum of what came before them, of all of it.
[[nodiscard]] std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t before = 0) noexcept;

/// The same without the instruction, for tests and other processors.
[[nodiscard]] std::uint32_t crc32c_portable(std::span<const std::byte> bytes, std::uint32_t before = 0) noexcept;

}  // namespace keepstore
