/// Bytes received and not yet used: a head being collected, the start of a body. Memory is held only while there is
/// need.
#pragma once

#include "base/limits.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

namespace keepstore::net {

class input_buffer {
  public:
    [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }
    [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
    [[nodiscard]] std::string_view text() const noexcept {
        return {reinterpret_cast<const char*>(data_.get()) + begin_, size()};
    }

    /// Space behind the bytes, made by moving them to the front or growing (doubling) up to `size_max`.
    [[nodiscard]] std::span<std::byte> space(std::size_t size_max) {
        if (begin_ > 0) {
            std::memmove(data_.get(), data_.get() + begin_, size());
            end_ -= begin_;
            begin_ = 0;
        }
        if (end_ == capacity_ && capacity_ < size_max) {
            const std::size_t larger = std::min(std::max(capacity_ * 2, limits::net_input_bytes), size_max);
            auto grown = std::make_unique_for_overwrite<std::byte[]>(larger);
            if (end_ > 0) std::memcpy(grown.get(), data_.get(), end_);
            data_ = std::move(grown);
            capacity_ = larger;
        }
        return {data_.get() + end_, capacity_ - end_};
    }
    void added(std::size_t count) noexcept { end_ += count; }
    void consume(std::size_t count) noexcept { begin_ += count; }
    /// Moves up to `into.size()` bytes out.
    [[nodiscard]] std::size_t take(std::span<std::byte> into) noexcept {
        const std::size_t n = std::min(into.size(), size());
        if (n > 0) std::memcpy(into.data(), data_.get() + begin_, n);
        begin_ += n;
        return n;
    }

  private:
    std::unique_ptr<std::byte[]> data_;
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

}  // namespace keepstore::net
