/// Bytes with an owner. A slice is a view plus a share in the owner of the bytes, so that a digest, several volumes and
/// a hung disk call can use one buffer at the same time and the last one gives it back. Copying a slice copies no
/// bytes. Slices may be handed between threads; the reference count is atomic, the bytes are not guarded: a buffer is
/// frozen (turned into a `const_slice`) after it was filled and before it is shared.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <span>
#include <utility>

namespace keepstore {

/// Base of owners of bytes. `recycle` is called once, by the thread that drops the last share.
class buffer_owner {
  public:
    buffer_owner() = default;
    buffer_owner(const buffer_owner&) = delete;
    buffer_owner& operator=(const buffer_owner&) = delete;

    void add_ref() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
    void release() noexcept {
        if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) recycle();
    }
    [[nodiscard]] bool unique() const noexcept { return refs_.load(std::memory_order_acquire) == 1; }

  protected:
    virtual ~buffer_owner() = default;
    virtual void recycle() noexcept = 0;

  private:
    std::atomic<unsigned> refs_{0};
};

/// A share in a buffer_owner; empty by default.
class buffer_ref {
  public:
    buffer_ref() = default;
    explicit buffer_ref(buffer_owner* owner) noexcept : owner_(owner) {
        if (owner_) owner_->add_ref();
    }
    buffer_ref(const buffer_ref& other) noexcept : buffer_ref(other.owner_) {}
    buffer_ref(buffer_ref&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}
    buffer_ref& operator=(buffer_ref other) noexcept {
        std::swap(owner_, other.owner_);
        return *this;
    }
    ~buffer_ref() {
        if (owner_) owner_->release();
    }
    [[nodiscard]] explicit operator bool() const noexcept { return owner_ != nullptr; }
    [[nodiscard]] bool unique() const noexcept { return owner_ && owner_->unique(); }

  private:
    buffer_owner* owner_ = nullptr;
};

/// Read-only bytes with a share in their owner.
struct const_slice {
    std::span<const std::byte> bytes;
    buffer_ref owner;

    [[nodiscard]] std::size_t size() const noexcept { return bytes.size(); }
    [[nodiscard]] const_slice subslice(std::size_t offset, std::size_t count = std::dynamic_extent) const {
        return {bytes.subspan(offset, count), owner};
    }
};

/// Writable bytes with a share in their owner. One writer at a time.
struct mutable_slice {
    std::span<std::byte> bytes;
    buffer_ref owner;

    [[nodiscard]] std::size_t size() const noexcept { return bytes.size(); }
    [[nodiscard]] mutable_slice subslice(std::size_t offset, std::size_t count = std::dynamic_extent) const {
        return {bytes.subspan(offset, count), owner};
    }
    /// Returns the first `count` bytes, read-only from now on.
    [[nodiscard]] const_slice freeze(std::size_t count) const { return {bytes.first(count), owner}; }
};

/// Returns a slice over memory of its own, outside the pool.
[[nodiscard]] mutable_slice make_heap_slice(std::size_t size);
[[nodiscard]] const_slice copy_to_heap_slice(std::span<const std::byte> bytes);

}  // namespace keepstore
