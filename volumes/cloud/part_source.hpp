/// A part of a block on its way to the service.
#pragma once

#include "base/async.hpp"
#include "base/buffer.hpp"
#include "base/md5_digest.hpp"
#include "net/client/http_client.hpp"
#include "volumes/cloud/circuit_breaker.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace keepstore::volumes::cloud {

/// Returns the MD5. Yields between chunks: a part takes 10 ms, and other coroutines of the loop are served meanwhile.
/// `bytes` stay the caller's.
[[nodiscard]] awaitable<md5_digest> md5_in_steps(std::span<const std::byte> bytes);

/// Feeds a part to the HTTP client in chunks, so that its progress is visible to the circuit breaker.
class part_source final : public net::body_source {
  public:
    part_source(const_slice part, circuit_breaker& breaker) : part_(std::move(part)), breaker_(breaker) {}

    [[nodiscard]] std::uint64_t size() const noexcept override { return part_.size(); }
    [[nodiscard]] awaitable<result<const_slice>> next() override;
    [[nodiscard]] bool rewind() override {
        given_ = 0;
        return true;
    }

  private:
    const const_slice part_;
    circuit_breaker& breaker_;
    std::size_t given_ = 0;
};

}  // namespace keepstore::volumes::cloud
