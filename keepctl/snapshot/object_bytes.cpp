#include "keepctl/snapshot/object_bytes.hpp"

#include "digest/md5.hpp"

#include <algorithm>
#include <vector>

namespace keepstore::keepctl {
namespace {

// Stays in the second-level cache.
constexpr std::uint64_t piece_bytes = 64 * 1024;

template <class Digest>
void feed(Digest& digest, const object_bytes& bytes, std::uint64_t offset, std::uint64_t end) {
    std::vector<std::byte> piece(static_cast<std::size_t>(std::min(piece_bytes, end - offset)));
    while (offset < end) {
        const auto part =
            std::span(piece).first(static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), end - offset)));
        bytes.copy(offset, part);
        digest.update(part);
        offset += part.size();
    }
}

}  // namespace

sha256_digest sha256_of(const object_bytes& bytes) {
    sha256_stream digest;
    feed(digest, bytes, 0, bytes.size());
    return digest.finish();
}

md5_digest md5_of(const object_bytes& bytes, std::uint64_t offset, std::uint64_t count) {
    digest::md5 digest;
    feed(digest, bytes, offset, offset + count);
    return digest.finish();
}

}  // namespace keepstore::keepctl
