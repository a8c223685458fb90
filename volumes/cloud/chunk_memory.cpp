#include "volumes/cloud/chunk_memory.hpp"

#include "base/limits.hpp"

namespace keepstore::volumes::cloud {

class chunk_memory::piece final : public buffer_owner {
  public:
    piece(std::shared_ptr<chunk_memory> home, std::size_t size, block memory, async_semaphore::permit reserved)
        : home_(std::move(home)), size_(size), memory_(std::move(memory)), reserved_(std::move(reserved)) {}
    [[nodiscard]] std::byte* data() const noexcept { return memory_.get(); }

  private:
    void recycle() noexcept override {
        home_->give_back(size_, std::move(memory_));
        delete this;
    }

    const std::shared_ptr<chunk_memory> home_;
    const std::size_t size_;
    block memory_;
    const async_semaphore::permit reserved_;  ///< Of the reserve; none: within the budget.
};

std::optional<mutable_slice> chunk_memory::try_take(std::size_t size) {
    block memory;
    {
        const std::lock_guard lock(mutex_);
        if (held_ + size > budget_) return std::nullopt;
        held_ += size;
        memory = take_spare(size);
    }
    return make(size, std::move(memory), {});
}

awaitable<result<mutable_slice>> chunk_memory::take_reserved(std::size_t size, deadline until) {
    KS_CO_TRY(auto permit, co_await reserve_.acquire(until, "no memory for downloads"));
    block memory;
    {
        const std::lock_guard lock(mutex_);
        held_ += size;
        memory = take_spare(size);
    }
    co_return make(size, std::move(memory), std::move(permit));
}

chunk_memory::block chunk_memory::take_spare(std::size_t size) {
    if (size != limits::chunk_size_bytes || spare_.empty()) return nullptr;
    auto out = std::move(spare_.back());
    spare_.pop_back();
    return out;
}

std::size_t chunk_memory::held_bytes() const {
    const std::lock_guard lock(mutex_);
    return held_;
}

mutable_slice chunk_memory::make(std::size_t size, block memory, async_semaphore::permit reserved) {
    if (!memory) memory = std::make_unique_for_overwrite<std::byte[]>(size);
    auto* const owner = new piece(shared_from_this(), size, std::move(memory), std::move(reserved));
    const buffer_ref share(owner);
    return {std::span(owner->data(), size), share};
}

void chunk_memory::give_back(std::size_t size, block memory) noexcept {
    const std::lock_guard lock(mutex_);
    held_ -= size;
    // Spare chunks and held pieces together never exceed the budget.
    if (size == limits::chunk_size_bytes && held_ + (spare_.size() + 1) * size <= budget_) {
        spare_.push_back(std::move(memory));
    }
}

}  // namespace keepstore::volumes::cloud
