#include "protocol/random_token.hpp"

#include <random>
#include <string_view>

namespace keepstore::protocol {

std::string random_token() {
    static constexpr std::string_view alphabet = "0123456789abcdefghijklmnopqrstuvwxyz";
    std::random_device random;
    std::string out;
    for (int i = 0; i < 36; ++i) out += alphabet[random() % alphabet.size()];
    return out;
}

}  // namespace keepstore::protocol
