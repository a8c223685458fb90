#include "keepctl/cluster/shards.hpp"

#include "base/hex.hpp"

#include <algorithm>
#include <utility>

namespace keepstore::keepctl {
namespace {

constexpr std::string_view shard_hex_digits = "0123456789abcdef";

}  // namespace

std::string shard_prefix(unsigned digits, std::size_t shard) {
    std::string out(digits, '0');
    for (unsigned i = digits; i-- > 0; shard >>= 4) out[i] = shard_hex_digits[shard & 15];
    return out;
}

std::optional<std::string> narrowed(std::string shard, const std::string& wanted) {
    const auto common = std::min(shard.size(), wanted.size());
    if (shard.compare(0, common, wanted, 0, common) != 0) return std::nullopt;
    return wanted.size() > shard.size() ? wanted : std::move(shard);
}

unsigned shard_digits(std::uint64_t entries, std::uint64_t entries_max) {
    unsigned digits = 0;
    while (digits < limits::shard_digits_max && entries / shard_count(digits) >= entries_max) ++digits;
    return digits;
}

std::size_t shard_set::size() const {
    return static_cast<std::size_t>(std::ranges::count(done_, true));
}

std::string shard_set::to_hex() const {
    std::string out((done_.size() + 3) / 4, '0');
    for (std::size_t i = 0; i < done_.size(); ++i) {
        if (!done_[i]) continue;
        char& digit = out[i / 4];
        digit = shard_hex_digits[static_cast<std::size_t>(hex_value(digit)) | (8U >> (i % 4))];
    }
    return out;
}

bool shard_set::assign(std::string_view hex) {
    if (hex.size() != (done_.size() + 3) / 4 || !is_lower_hex(hex)) return false;
    for (std::size_t i = 0; i < done_.size(); ++i)
        done_[i] = (static_cast<unsigned>(hex_value(hex[i / 4])) & (8U >> (i % 4))) != 0;
    return true;
}

}  // namespace keepstore::keepctl
