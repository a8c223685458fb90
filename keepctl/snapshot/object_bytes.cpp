#include "keepctl/snapshot/object_bytes.hpp"

#include "digest/md5.hpp"

#include <algorithm>
#include <vector>

namespace keepstore::keepctl {
namespace {

// Stays in the second-level cache.
constexpr std::uint64_t piece_bytes = 64 * 1024;

template <class Digest>
auto digest_of(const object_bytes& bytes) {
    Digest digest;
    std::vector<std::byte> piece(static_cast<std::size_t>(std::min(piece_bytes, bytes.size())));
    for (std::uint64_t offset = 0; offset < bytes.size();) {
        const auto count = std::min<std::uint64_t>(piece.size(), bytes.size() - offset);
        const auto part = std::span(piece).first(static_cast<std::size_t>(count));
        bytes.copy(offset, part);
        digest.update(part);
        offset += count;
    }
    return digest.finish();
}

}  // namespace

sha256_digest sha256_of(const object_bytes& bytes) {
    return digest_of<sha256_stream>(bytes);
}

md5_digest md5_of(const object_bytes& bytes) {
    return digest_of<digest::md5>(bytes);
}

}  // namespace keepstore::keepctl
