/// SHA-256 (FIPS 180-4), by OpenSSL. Pure functions, and a value.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace keepstore {

using sha256_digest = std::array<std::uint8_t, 32>;

/// \throws std::bad_alloc: OpenSSL can fail here for lack of memory only.
[[nodiscard]] sha256_digest sha256(std::span<const std::byte> bytes);
[[nodiscard]] sha256_digest sha256(std::string_view text);

/// HMAC-SHA-256 (RFC 2104). \throws std::bad_alloc, likewise.
[[nodiscard]] sha256_digest hmac_sha256(std::span<const std::byte> key, std::string_view text);

/// SHA-256 of bytes that come in pieces. Move only; used by one thread at a time.
class sha256_stream {
  public:
    sha256_stream();  ///< \throws std::bad_alloc, as its members.
    void update(std::span<const std::byte> bytes);
    [[nodiscard]] sha256_digest finish();  ///< It takes no more bytes.

  private:
    struct context_deleter {
        void operator()(void* context) const noexcept;
    };
    std::unique_ptr<void, context_deleter> context_;
};

}  // namespace keepstore
