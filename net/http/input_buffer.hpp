/// Bytes received and not yet used: a head being collected, the start of a body, a pipelined request.
#pragma once

#include "net/limits.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace keepstore::net {

/// Memory of input buffers, limits::input_buffer_bytes each, kept for reuse. Used by one event loop.
class input_cache {
  public:
    using block = std::unique_ptr<std::byte[]>;

    [[nodiscard]] block take() {
        if (blocks_.empty()) return std::make_unique_for_overwrite<std::byte[]>(limits::input_buffer_bytes);
        block b = std::move(blocks_.back());
        blocks_.pop_back();
        return b;
    }
    void give(block b) {
        if (blocks_.size() < limits::input_buffers_kept_max) blocks_.push_back(std::move(b));
    }

  private:
    std::vector<block> blocks_;
};

class input_buffer {
  public:
    /// Allocates its memory when it is needed, and frees it at the end.
    input_buffer() = default;
    /// Takes its memory from `cache`, which outlives the buffer, and gives it back by release_if_empty(), so that an
    /// idle connection holds none.
    explicit input_buffer(input_cache& cache) noexcept : cache_(&cache) {}

    [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }
    [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
    [[nodiscard]] std::string_view text() const noexcept {
        return {reinterpret_cast<const char*>(data_.get()) + begin_, size()};
    }

    /// Space after the bytes. When it is used up the bytes are moved to the front, or the buffer doubles up to
    /// `size_max`.
    [[nodiscard]] std::span<std::byte> space(std::size_t size_max) {
        if (!data_) {
            data_ = cache_ ? cache_->take() : std::make_unique_for_overwrite<std::byte[]>(limits::input_buffer_bytes);
            capacity_ = limits::input_buffer_bytes;
        }
        if (end_ == capacity_ && begin_ > 0) {
            std::memmove(data_.get(), data_.get() + begin_, size());
            end_ -= begin_;
            begin_ = 0;
        }
        if (end_ == capacity_ && capacity_ < size_max) {
            const std::size_t larger = std::min(capacity_ * 2, size_max);
            auto grown = std::make_unique_for_overwrite<std::byte[]>(larger);
            std::memcpy(grown.get(), data_.get(), end_);
            give_back();
            data_ = std::move(grown);
            capacity_ = larger;
        }
        return {data_.get() + end_, capacity_ - end_};
    }
    void added(std::size_t count) noexcept { end_ += count; }
    void consume(std::size_t count) noexcept {
        begin_ += count;
        if (empty()) begin_ = end_ = 0;
    }
    /// Moves up to `into.size()` bytes out.
    [[nodiscard]] std::size_t take(std::span<std::byte> into) noexcept {
        const std::size_t count = std::min(into.size(), size());
        if (count == 0) return 0;
        std::memcpy(into.data(), data_.get() + begin_, count);
        consume(count);
        return count;
    }

    /// Gives the memory back if nothing is in it.
    void release_if_empty() {
        if (!empty() || !data_) return;
        give_back();
        capacity_ = 0;
    }

  private:
    void give_back() {
        if (cache_ && capacity_ == limits::input_buffer_bytes) cache_->give(std::move(data_));
        data_.reset();
    }

    input_cache* cache_ = nullptr;
    input_cache::block data_;
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

}  // namespace keepstore::net
