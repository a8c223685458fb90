// The low-level MD5 of OpenSSL is deprecated since 3.0 in favour of EVP, but EVP hides the chaining
// state, which is what this module is about. The functions run the same assembly. Must stand before
// the first OpenSSL header.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "digest/md5.hpp"

#include <openssl/md5.h>

#include <algorithm>
#include <cstring>

namespace keepstore::digest {

void md5_compress(md5_state& state, std::span<const std::byte> bytes) {
    if (bytes.empty()) return;
    MD5_CTX context{};  // `num` is 0: no partial block, so MD5_Update runs the blocks in place.
    context.A = state.words[0];
    context.B = state.words[1];
    context.C = state.words[2];
    context.D = state.words[3];
    MD5_Update(&context, bytes.data(), bytes.size());
    state.words = {context.A, context.B, context.C, context.D};
}

md5_digest md5_finish(const md5_state& state, std::span<const std::byte> tail, std::uint64_t length) {
    // RFC 1321 section 3.1 and 3.2: a 1 bit, zeros, and the length in bits as 64 bits, low-order
    // byte first.
    std::array<std::byte, 2 * md5_block_bytes> padded{};
    std::ranges::copy(tail, padded.begin());
    padded[tail.size()] = std::byte{0x80};
    const std::size_t size = tail.size() + 9 <= md5_block_bytes ? md5_block_bytes : padded.size();
    const std::uint64_t bits = length * 8;
    for (std::size_t i = 0; i < 8; ++i) {
        padded[size - 8 + i] = static_cast<std::byte>((bits >> (8 * i)) & 0xff);
    }
    md5_state last = state;
    md5_compress(last, std::span(padded).first(size));

    md5_digest digest;
    for (std::size_t i = 0; i < digest.bytes.size(); ++i) {
        digest.bytes[i] = static_cast<std::uint8_t>(last.words[i / 4] >> (8 * (i % 4)));
    }
    return digest;
}

md5::md5(const md5_state& state, std::uint64_t length) : state_(state), length_(length) {}

void md5::update(std::span<const std::byte> bytes) {
    if (const std::size_t held = length_ % md5_block_bytes; held != 0) {
        const auto head = bytes.first(std::min(bytes.size(), md5_block_bytes - held));
        std::ranges::copy(head, partial_.begin() + static_cast<std::ptrdiff_t>(held));
        length_ += head.size();
        bytes = bytes.subspan(head.size());
        if (length_ % md5_block_bytes == 0) md5_compress(state_, partial_);
    }
    const auto tail = bytes.last(bytes.size() % md5_block_bytes);
    md5_compress(state_, bytes.first(bytes.size() - tail.size()));
    // An empty tail must not touch what is held: `bytes` may have been used up above.
    if (!tail.empty()) std::ranges::copy(tail, partial_.begin());
    length_ += bytes.size();
}

md5_digest md5::finish() {
    return md5_finish(state_, std::span(partial_).first(length_ % md5_block_bytes), length_);
}

md5_state md5::state() const {
    return state_;
}

md5_digest md5_of(std::span<const std::byte> bytes) {
    md5 hash;
    hash.update(bytes);
    return hash.finish();
}

}  // namespace keepstore::digest
