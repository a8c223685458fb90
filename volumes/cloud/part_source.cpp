#include "volumes/cloud/part_source.hpp"

#include "base/limits.hpp"
#include "digest/md5.hpp"

#include <algorithm>

namespace keepstore::volumes::cloud {

awaitable<md5_digest> md5_in_steps(std::span<const std::byte> bytes) {
    digest::md5 hash;
    while (!bytes.empty()) {
        const auto step = std::min(bytes.size(), limits::chunk_size_bytes);
        hash.update(bytes.first(step));
        bytes = bytes.subspan(step);
        co_await yield_to_loop();
    }
    co_return hash.finish();
}

awaitable<result<const_slice>> part_source::next() {
    if (given_ > 0) breaker_.note_progress();
    const auto step = std::min(part_.size() - given_, limits::chunk_size_bytes);
    auto out = part_.subslice(given_, step);
    given_ += step;
    co_return out;
}

}  // namespace keepstore::volumes::cloud
