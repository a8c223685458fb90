#include "router/request_id.hpp"

#include <array>
#include <cstdint>
#include <random>

namespace keepstore::router {
namespace {

std::mt19937_64 make_generator() {
    std::random_device device;
    std::array<std::uint32_t, 16> words;
    for (std::uint32_t& word : words) word = device();
    std::seed_seq seed(words.begin(), words.end());
    return std::mt19937_64(seed);
}

}  // namespace

std::string make_request_id() {
    thread_local std::mt19937_64 generator = make_generator();
    std::string id = "req-";
    id.reserve(24);
    // 36^10 is below 2^52, so ten digits of a 64-bit word are uniform to one part in 4,000.
    for (int half = 0; half < 2; ++half) {
        std::uint64_t word = generator();
        for (int i = 0; i < 10; ++i) {
            id += "0123456789abcdefghijklmnopqrstuvwxyz"[word % 36];
            word /= 36;
        }
    }
    return id;
}

}  // namespace keepstore::router
