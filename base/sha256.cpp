#include "base/sha256.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

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

sha256_digest hmac_sha256(std::span<const std::byte> key, std::string_view text) {
    sha256_digest out;
    unsigned size = 0;
    const auto* const bytes = reinterpret_cast<const unsigned char*>(text.data());
    if (!HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes, text.size(), out.data(), &size))
        throw std::bad_alloc();
    return out;
}

void sha256_stream::context_deleter::operator()(void* context) const noexcept {
    EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context));
}

sha256_stream::sha256_stream() : context_(EVP_MD_CTX_new()) {
    if (!context_ || EVP_DigestInit_ex(static_cast<EVP_MD_CTX*>(context_.get()), EVP_sha256(), nullptr) != 1)
        throw std::bad_alloc();
}

void sha256_stream::update(std::span<const std::byte> bytes) {
    if (EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_.get()), bytes.data(), bytes.size()) != 1)
        throw std::bad_alloc();
}

sha256_digest sha256_stream::finish() {
    sha256_digest out;
    if (EVP_DigestFinal_ex(static_cast<EVP_MD_CTX*>(context_.get()), out.data(), nullptr) != 1) throw std::bad_alloc();
    return out;
}

}  // namespace keepstore
