/// The bytes of an object that is written to a repository: any part of them, at any time. Immutable.
#pragma once

#include "base/md5_digest.hpp"
#include "base/sha256.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>

namespace keepstore::keepctl {

class object_bytes {
  public:
    virtual ~object_bytes() = default;
    [[nodiscard]] virtual std::uint64_t size() const noexcept = 0;
    /// Fills `out` with the bytes from `offset` on; they must be there. Safe to call from any thread.
    virtual void copy(std::uint64_t offset, std::span<std::byte> out) const = 0;
};

class text_bytes final : public object_bytes {
  public:
    explicit text_bytes(std::string text) : text_(std::move(text)) {}
    [[nodiscard]] std::uint64_t size() const noexcept override { return text_.size(); }
    void copy(std::uint64_t offset, std::span<std::byte> out) const override {
        std::memcpy(out.data(), text_.data() + offset, out.size());
    }

  private:
    const std::string text_;
};

[[nodiscard]] sha256_digest sha256_of(const object_bytes& bytes);
[[nodiscard]] md5_digest md5_of(const object_bytes& bytes);

}  // namespace keepstore::keepctl
