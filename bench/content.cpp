// MD5_CTX is deprecated in OpenSSL 3, but its plain copyable state is the point here.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "bench/content.hpp"

#include <openssl/md5.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace keepstore::bench {

struct content_source::hash_states {
    std::vector<MD5_CTX> before_tail;  // parallel to sizes_
};

std::uint64_t mix64(std::uint64_t value) {
    value += 0x9e3779b97f4a7c15U;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9U;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebU;
    return value ^ (value >> 31);
}

std::string to_hex(std::span<const unsigned char, 16> digest) {
    constexpr char digits[] = "0123456789abcdef";
    std::string hex;
    hex.reserve(32);
    for (const auto byte : digest) {
        hex.push_back(digits[byte >> 4]);
        hex.push_back(digits[byte & 15]);
    }
    return hex;
}

content_source::content_source(std::uint64_t seed, const std::vector<std::uint64_t>& sizes)
    : seed_(seed), sizes_(sizes), states_(std::make_unique<hash_states>()) {
    const auto largest = sizes_.empty() ? 0 : sizes_.back();
    base_.resize(static_cast<std::size_t>((largest + 7) / 8 * 8));
    for (std::size_t i = 0; i < base_.size(); i += 8) {
        const auto word = mix64(seed ^ (i * 0x2545f4914f6cdd1dU));
        std::memcpy(base_.data() + i, &word, sizeof word);
    }
    MD5_CTX running;
    MD5_Init(&running);
    std::size_t hashed = 0;
    for (const auto size : sizes_) {
        const auto prefix = static_cast<std::size_t>(block{.size = size}.base_bytes());
        MD5_Update(&running, base_.data() + hashed, prefix - hashed);
        hashed = prefix;
        states_->before_tail.push_back(running);
    }
}

content_source::~content_source() = default;

block content_source::make(std::uint64_t size, std::uint64_t number) const {
    const auto place = std::ranges::lower_bound(sizes_, size);
    if (place == sizes_.end() || *place != size) throw std::logic_error("size was not announced");
    block made{.size = size};
    for (std::size_t i = 0; i < block::tail_bytes; i += 8) {
        const auto word = mix64(seed_ ^ mix64(number + (static_cast<std::uint64_t>(i) << 56)));
        std::memcpy(made.tail.data() + i, &word, sizeof word);
    }
    auto state = states_->before_tail[static_cast<std::size_t>(place - sizes_.begin())];
    const auto tail = made.tail_part();
    MD5_Update(&state, tail.data(), tail.size());
    std::array<unsigned char, 16> digest{};
    MD5_Final(digest.data(), &state);
    made.md5 = to_hex(digest);
    return made;
}

std::span<const std::byte> content_source::bytes(const block& which, std::uint64_t offset) const {
    const auto base_bytes = which.base_bytes();
    if (offset < base_bytes) {
        return std::span(base_).subspan(static_cast<std::size_t>(offset),
                                        static_cast<std::size_t>(base_bytes - offset));
    }
    return which.tail_part().subspan(static_cast<std::size_t>(offset - base_bytes));
}

}  // namespace keepstore::bench
