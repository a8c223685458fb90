#include "base/buffer.hpp"

#include <algorithm>
#include <vector>

namespace keepstore {
namespace {

class heap_buffer final : public buffer_owner {
  public:
    explicit heap_buffer(std::size_t size) : bytes(size) {}
    std::vector<std::byte> bytes;

  private:
    void recycle() noexcept override { delete this; }
};

}  // namespace

mutable_slice make_heap_slice(std::size_t size) {
    auto* const buffer = new heap_buffer(size);  // owned by the slice's reference
    return {buffer->bytes, buffer_ref(buffer)};
}

const_slice copy_to_heap_slice(std::span<const std::byte> bytes) {
    const auto slice = make_heap_slice(bytes.size());
    std::ranges::copy(bytes, slice.bytes.begin());
    return slice.freeze(bytes.size());
}

}  // namespace keepstore
