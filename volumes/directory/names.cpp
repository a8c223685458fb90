#include "volumes/directory/names.hpp"

#include "base/hex.hpp"
#include "base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <random>

namespace keepstore::volumes::directory {
namespace {

constexpr std::string_view trash_infix = ".trash.";
constexpr std::string_view temp_prefix = "tmp";
constexpr std::size_t our_temp_digits = 20;  // As many as the largest 64-bit number has.
constexpr std::size_t hash_digits = 32;

}  // namespace

block_path::block_path(const md5_digest& name) {
    const std::string hex = name.hex();
    std::copy_n(hex.begin(), 3, dir.begin());
    std::ranges::copy(hex, file.begin());
    std::copy_n(hex.begin(), 3, path.begin());
    path[3] = '/';
    std::ranges::copy(hex, path.begin() + 4);
}

unsigned block_dir_index(const md5_digest& name) noexcept {
    return unsigned{name.bytes[0]} * 16 + (unsigned{name.bytes[1]} >> 4);
}

std::optional<unsigned> parse_block_dir(std::string_view name) noexcept {
    if (name.size() != 3 || !is_lower_hex(name)) return std::nullopt;
    return parse_number<unsigned>(name, 16);
}

std::string trash_name(const md5_digest& name, std::int64_t deadline) {
    return fmt::format("{}{}{}", name.hex(), trash_infix, deadline);
}

std::optional<trash_entry> parse_trash_name(std::string_view name) {
    if (name.size() <= hash_digits + trash_infix.size()) return std::nullopt;
    if (name.substr(hash_digits, trash_infix.size()) != trash_infix) return std::nullopt;
    const auto digest = md5_digest::parse(name.substr(0, hash_digits));
    const auto number = name.substr(hash_digits + trash_infix.size());
    const auto deadline = is_number(number) ? parse_number<std::int64_t>(number) : std::nullopt;
    if (!digest || !deadline) return std::nullopt;
    return trash_entry{*digest, *deadline};
}

std::string temp_name(const md5_digest& name) {
    thread_local std::mt19937_64 random = [] {
        std::random_device device;
        std::seed_seq seed{device(), device(), device(), device()};
        return std::mt19937_64(seed);
    }();
    return fmt::format("{}{}{:0{}}", temp_prefix, name.hex(), random(), our_temp_digits);
}

std::optional<temp_origin> parse_temp_name(std::string_view name) {
    if (name.size() <= temp_prefix.size() + hash_digits || !name.starts_with(temp_prefix)) return std::nullopt;
    const auto digits = name.substr(temp_prefix.size() + hash_digits);
    if (!is_lower_hex(name.substr(temp_prefix.size(), hash_digits)) || !std::ranges::all_of(digits, is_digit)) {
        return std::nullopt;
    }
    return digits.size() == our_temp_digits ? temp_origin::ours : temp_origin::foreign;
}

}  // namespace keepstore::volumes::directory
