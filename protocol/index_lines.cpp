#include "protocol/index_lines.hpp"

#include "base/limits.hpp"
#include "base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

namespace keepstore::protocol {
namespace {

constexpr std::size_t hash_characters = 32;
// The hash, a plus, a size of 20 digits, a space, a sign and 19 digits, a newline.
constexpr std::size_t line_characters_max = hash_characters + 1 + 20 + 1 + 20 + 1;

// Of a malformed line that are kept: enough to see what it is, too few for a secret.
constexpr std::size_t bad_line_characters = 40;

// Times below are in seconds: what keep-balance takes them for, since old keepstores wrote them so.
constexpr std::int64_t nanoseconds_min = 1'000'000'000'000;
constexpr std::int64_t nanoseconds_per_second = 1'000'000'000;

std::int64_t in_nanoseconds(std::int64_t mtime) {
    constexpr std::int64_t seconds_max = std::numeric_limits<std::int64_t>::max() / nanoseconds_per_second;
    const bool is_seconds = mtime < nanoseconds_min && mtime <= seconds_max && mtime >= -seconds_max;
    return is_seconds ? mtime * nanoseconds_per_second : mtime;
}

constexpr std::size_t word_digits = 8;

constexpr std::uint64_t each_byte = 0x0101010101010101;

/// The values of eight characters, the first one in the lowest byte, if they are digits: in ASCII 0x30 and the value.
std::uint64_t digits_at(const char* eight) noexcept {
    static_assert(std::endian::native == std::endian::little);
    std::uint64_t word;
    std::memcpy(&word, eight, sizeof word);
    return word ^ ('0' * each_byte);
}

/// The highest bit of each byte that is no digit; up to the first one, since a carry may reach those after it.
std::uint64_t others_in(std::uint64_t digits) noexcept {
    return (digits | (digits + 0x76 * each_byte)) & (0x80 * each_byte);
}

/// The number that eight digits are: neighbours are added, the left one times 10, then 100, then 10000.
std::uint64_t number_of(std::uint64_t digits) noexcept {
    constexpr std::uint64_t pairs = 0x000000ff000000ff;
    digits = digits * 10 + (digits >> 8);
    digits = (digits & pairs) * (100 + (std::uint64_t{1'000'000} << 32)) +
             ((digits >> 16) & pairs) * (1 + (std::uint64_t{10'000} << 32));
    return digits >> 32;
}

/// Takes one to eight digits and a space from the front. nullopt: there is something else, or less than eight
/// characters.
std::optional<std::uint32_t> take_size(std::string_view& text) noexcept {
    if (text.size() < word_digits) return std::nullopt;
    auto digits = digits_at(text.data());
    std::size_t count = word_digits;
    if (const auto others = others_in(digits); others != 0) {
        count = static_cast<std::size_t>(std::countr_zero(others)) / 8;
        if (count == 0) return std::nullopt;
        digits <<= 8 * (word_digits - count);  // Zeros in front make it eight.
    }
    if (text.size() == count || text[count] != ' ') return std::nullopt;
    text.remove_prefix(count + 1);
    return static_cast<std::uint32_t>(number_of(digits));
}

/// The number that the `count` characters in front of `end` are, at most 19 digits; three words in front of `end` can
/// be read. nullopt: they are something else.
std::optional<std::uint64_t> number_before(const char* end, std::size_t count) noexcept {
    constexpr std::size_t digits_max = 19;
    if (count == 0 || count > digits_max) return std::nullopt;
    std::uint64_t out = 0;
    std::uint64_t scale = 1;
    std::uint64_t others = 0;
    // From the end, since words in front of it can always be read.
    for (; count > 0; scale *= 100'000'000) {
        end -= word_digits;
        auto digits = digits_at(end);
        if (count < word_digits) digits = digits >> 8 * (word_digits - count) << 8 * (word_digits - count);
        count -= std::min(count, word_digits);
        others |= others_in(digits);
        out += scale * number_of(digits);
    }
    return others == 0 ? std::optional(out) : std::nullopt;
}

/// Parses a line as servers write them, of which an index has millions. Fills members one by one: a copy of the whole
/// would wait for them. false: it is to be looked at more closely.
bool parse_usual_line(std::string_view text, std::string_view prefix, index_line& out) noexcept {
    if (text.size() <= hash_characters || text[hash_characters] != '+') return false;
    for (std::size_t i = 0; i < prefix.size(); ++i) {  // A few characters: a call of memcmp takes longer.
        if (text[i] != prefix[i]) return false;
    }
    const auto hash = md5_digest::parse(text.substr(0, hash_characters));
    text.remove_prefix(hash_characters + 1);
    const auto size = take_size(text);
    if (!hash || !size) return false;
    const auto mtime = number_before(text.data() + text.size(), text.size());
    if (!mtime || !std::in_range<std::int64_t>(*mtime)) return false;
    out.block = *hash;
    out.size = *size;
    out.mtime = in_nanoseconds(static_cast<std::int64_t>(*mtime));
    return true;
}

}  // namespace

void append_index_line(std::string& text, const index_line& line) {
    static constexpr std::string_view digits = "0123456789abcdef";
    std::array<char, line_characters_max> buffer;
    char* at = buffer.data();
    char* const end = buffer.data() + buffer.size();
    for (const std::uint8_t byte : line.block.bytes) {
        *at++ = digits[byte >> 4];
        *at++ = digits[byte & 15];
    }
    *at++ = '+';
    at = std::to_chars(at, end, line.size).ptr;
    *at++ = ' ';
    at = std::to_chars(at, end, line.mtime).ptr;
    *at++ = '\n';
    text.append(buffer.data(), at);
}

result<void> index_parser::parse(std::string_view piece, std::vector<index_line>& out) {
    while (!piece.empty()) {
        if (ended_) return fail(errc::io_error, "malformed index: it goes on after its end");
        const auto newline = piece.find('\n');
        const std::string_view part = piece.substr(0, newline);
        if (begun_.size() + part.size() > line_bytes_max)
            return fail(errc::io_error, fmt::format("malformed index: line {} is too long", lines_ + 1));
        if (newline == std::string_view::npos) {
            begun_.append(part);
            return success();
        }
        piece.remove_prefix(newline + 1);
        if (begun_.empty() && part.empty()) {
            ended_ = true;
            continue;
        }
        std::string_view line = part;
        if (!begun_.empty()) line = begun_.append(part);
        index_line& parsed = out.emplace_back();
        if (!parse_usual_line(line, prefix_, parsed)) {
            if (auto unusual = parse_line(line)) {
                parsed = *unusual;
            } else {
                out.pop_back();
                return std::unexpected(std::move(unusual.error()));
            }
        }
        if (parsed.size > limits::block_size_bytes_max) {
            ++too_large_;
            out.pop_back();
        }
        begun_.clear();
        ++lines_;
    }
    return success();
}

result<void> index_parser::expect_end() const {
    if (ended_) return success();
    return fail(errc::io_error, fmt::format("incomplete index: it ends after {} lines without an empty line", lines_));
}

result<index_line> index_parser::parse_line(std::string_view text) {
    const auto wrong = [&, all = text](std::string_view what) {
        bad_line_ = all.substr(0, bad_line_characters);
        std::ranges::replace_if(bad_line_, [](char c) { return c < ' ' || c > '~'; }, '?');
        return fail(errc::io_error, fmt::format("malformed index: line {} {}", lines_ + 1, what));
    };
    index_line out;
    const auto hash = md5_digest::parse(text.substr(0, hash_characters));
    if (!hash) return wrong("has no hash of 32 lower-case hex digits");
    out.block = *hash;
    if (!text.starts_with(prefix_)) return wrong("does not begin with the requested prefix");
    text.remove_prefix(hash_characters);
    const auto space = text.find(' ');
    if (!text.starts_with('+') || space == std::string_view::npos) return wrong("is not \"hash+size mtime\"");
    const auto size = parse_number<std::uint64_t>(text.substr(1, space - 1));
    if (!size) return wrong("has a malformed size");
    out.size = *size;
    const auto mtime = parse_number<std::int64_t>(text.substr(space + 1));
    if (!mtime) return wrong("has a malformed mtime");
    out.mtime = in_nanoseconds(*mtime);
    return out;
}

}  // namespace keepstore::protocol
