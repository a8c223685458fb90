/// Bytes received and not yet used: a head being collected, the start of a body, a pipelined request. Memory is held
/// only while there are such bytes, and comes from a small cache of the event loop, so that idle connections cost none.
#pragma once

#include "base/limits.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace keepstore::net {

/// Buffers of limits::input_buffer_bytes for reuse. Used by one event loop.
class server_input_cache {
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

class server_input {
  public:
    explicit server_input(server_input_cache& cache) : cache_(cache) {}

    [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }
    [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_.get() + begin_, size()}; }
    [[nodiscard]] std::string_view text() const noexcept {
        return {reinterpret_cast<const char*>(data_.get()) + begin_, size()};
    }

    /// Space behind the bytes, made by moving them to the front or growing (doubling) up to `size_max`.
    [[nodiscard]] std::span<std::byte> space(std::size_t size_max) {
        if (!data_) {
            data_ = cache_.take();
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
    void consume(std::size_t count) noexcept { begin_ += count; }

    /// Gives the memory back if nothing is in it.
    void release_if_empty() {
        if (!empty() || !data_) return;
        give_back();
        begin_ = end_ = capacity_ = 0;
    }

  private:
    void give_back() {
        if (capacity_ == limits::input_buffer_bytes) cache_.give(std::move(data_));
        data_.reset();
    }

    server_input_cache& cache_;
    server_input_cache::block data_;
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

}  // namespace keepstore::net
