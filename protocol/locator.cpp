#include "protocol/locator.hpp"

#include "base/limits.hpp"
#include "base/text.hpp"

namespace keepstore::protocol {
namespace {

// 67108864 has eight digits; more are leading zeros, or too large.
constexpr std::size_t size_digits_max = 8;

std::unexpected<error> invalid() {
    return fail(errc::bad_request, "invalid locator");
}

}  // namespace

result<locator> locator::parse(std::string_view text) {
    locator out;
    const auto hash = md5_digest::parse(text.substr(0, 32));
    if (!hash) return invalid();
    out.hash = *hash;
    std::string_view rest = text.substr(32);
    bool first = true;
    while (!rest.empty()) {
        if (rest.front() != '+') return invalid();
        rest.remove_prefix(1);
        const std::string_view hint = rest.substr(0, rest.find('+'));
        rest.remove_prefix(hint.size());
        if (hint.empty()) return invalid();
        const char kind = hint.front();
        const bool number = is_digit(kind) || kind == '-';
        if (number) {
            if (!first || hint.size() > size_digits_max) return invalid();
            out.size = parse_number<std::uint64_t>(hint);
            if (!out.size || *out.size > limits::block_size_bytes_max) return invalid();
        } else {
            for (const char c : hint)
                if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f) return invalid();
            if (kind == 'A') out.signed_here = true;
            if (kind == 'R') out.remote = true;
            // A hint begins with a letter or a non-ASCII character, never with ASCII punctuation
            // (docs/interface.md 3.1).
            if (!is_letter(kind) && static_cast<unsigned char>(kind) < 0x80) return invalid();
        }
        first = false;
    }
    out.text = text;
    return out;
}

std::string locator::bare() const {
    std::string out = hash.hex();
    if (size) out += '+' + std::to_string(*size);
    return out;
}

}  // namespace keepstore::protocol
