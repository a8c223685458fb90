/// Arbitrary bytes as the attribute of waypoints: an accepted one encodes to the same bytes, and its segments cover the
/// block.
#include "digest/waypoints.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <span>
#include <vector>

using namespace keepstore;

namespace {

const md5_digest block_name = md5_of_nothing;

void check(std::span<const std::byte> bytes) {
    std::size_t length = 0;  // The length in the bytes themselves, so that they pass the comparison.
    for (std::size_t i = 0; i < 4 && 4 + i < bytes.size(); ++i)
        length |= std::to_integer<std::size_t>(bytes[4 + i]) << (8 * i);
    const auto decoded = digest::waypoints::decode(bytes, length, block_name);
    if (!decoded) return;
    const auto again = decoded->encode(block_name);
    if (!std::ranges::equal(again, bytes)) std::abort();
    if (digest::waypoints::decode(bytes, length + 1, block_name)) std::abort();
    std::size_t sum = 0;
    for (std::size_t i = 0; i < decoded->segment_count(); ++i) {
        if (decoded->state_after(i).has_value() != (i + 1 < decoded->segment_count())) std::abort();
        sum += decoded->segment_bytes(i);
    }
    if (sum != length) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    check(bytes);
    // Again with the right checksum, which random bytes never have.
    std::vector<std::byte> sealed(bytes.begin(), bytes.end());
    const auto name = std::as_bytes(std::span(block_name.bytes));
    sealed.insert(sealed.end(), name.begin(), name.end());
    std::array<unsigned char, EVP_MAX_MD_SIZE> sum{};
    if (EVP_Q_digest(nullptr, "MD5", nullptr, sealed.data(), sealed.size(), sum.data(), nullptr) != 1) std::abort();
    sealed.resize(bytes.size());
    const auto first_half = std::as_bytes(std::span(sum)).first(8);
    sealed.insert(sealed.end(), first_half.begin(), first_half.end());
    check(sealed);
    return 0;
}
