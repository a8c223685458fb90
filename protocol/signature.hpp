/// Permission signatures on locators: `+A<40 hex>@<8 hex>`, an HMAC-SHA1 over hash, token, expiry and TTL
/// (Arvados "Keep locator format"; docs/interface.md 3.2, 3.3). Immutable after construction; safe to use from any
/// thread.
#pragma once

#include "base/error.hpp"

#include <chrono>
#include <string>
#include <string_view>

namespace keepstore::protocol {

class locator_signer {
  public:
    using time_point = std::chrono::sys_seconds;

    /// `key` is Collections.BlobSigningKey; empty: nothing is signed. `ttl` enters the signature.
    locator_signer(std::string key, std::chrono::seconds ttl);

    [[nodiscard]] bool has_key() const noexcept { return !key_.empty(); }

    /// Appends a signature that is valid for `token` until now + ttl; returns `bare_locator` unchanged if key or token
    /// is empty.
    [[nodiscard]] std::string sign(std::string_view bare_locator, std::string_view token, time_point now) const;

    /// Checks that `signed_locator` was signed for `token` and has not expired. \returns errc::unauthorized "expired
    /// signature" (checked first, as the Go daemon does), errc::bad_request "invalid signature". Compares the decoded
    /// bytes, in constant time.
    [[nodiscard]] result<void> verify(std::string_view signed_locator, std::string_view token, time_point now) const;

  private:
    std::string key_;
    std::chrono::seconds ttl_;
    std::string ttl_hex_;
};

}  // namespace keepstore::protocol
