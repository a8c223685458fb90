#include "base/sha256.hpp"

#include <openssl/evp.h>

#include <new>

namespace keepstore {

sha256_digest sha256(std::span<const std::byte> bytes) {
    sha256_digest out;
    if (EVP_Digest(bytes.data(), bytes.size(), out.data(), nullptr, EVP_sha256(), nullptr) != 1) throw std::bad_alloc();
    return out;
}

sha256_digest sha256(std::string_view text) {
    return sha256(std::as_bytes(std::span(text)));
}

}  // namespace keepstore
