/// The oracle of the digest tests: MD5 by OpenSSL's EVP interface, which the code under test does
/// not use.
#pragma once

#include "base/md5_digest.hpp"

#include <openssl/evp.h>

#include <cstddef>
#include <span>
#include <stdexcept>

namespace keepstore::test {

inline md5_digest evp_md5(std::span<const std::byte> bytes) {
    md5_digest digest;
    unsigned size = 0;
    if (EVP_Digest(bytes.data(), bytes.size(), digest.bytes.data(), &size, EVP_md5(), nullptr) != 1) {
        throw std::runtime_error("EVP_Digest");
    }
    return digest;
}

}  // namespace keepstore::test
