#include "protocol/signature.hpp"

#include "base/hex.hpp"
#include "base/text.hpp"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

namespace keepstore::protocol {
namespace {

using mac = std::array<unsigned char, 20>;

// HMAC-SHA1(key, hash "@" token "@" expiry "@" ttl), with expiry and ttl as they are written, in hex.
mac compute(std::string_view key, std::string_view hash, std::string_view token, std::string_view expiry,
            std::string_view ttl) {
    std::string message;
    message.reserve(hash.size() + token.size() + expiry.size() + ttl.size() + 3);
    message.append(hash).append("@").append(token).append("@").append(expiry).append("@").append(ttl);
    mac out{};
    unsigned length = out.size();
    HMAC(EVP_sha1(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(message.data()),
         message.size(), out.data(), &length);
    OPENSSL_cleanse(message.data(), message.size());
    return out;
}

struct parsed {
    std::string_view hash;
    std::string_view signature;  // As written: it is compared as text, so that upper-case digits match no signature.
    std::string_view expiry;
};

// hash [+size] [+B..Z hints] +A<40 hex>@<8 hex> [+B..Z hints]; anything else counts as unsigned
// (docs/interface.md 3.3).
std::optional<parsed> parse(std::string_view text) {
    if (text.size() < 32) return std::nullopt;
    parsed out{.hash = text.substr(0, 32), .signature = {}, .expiry = {}};
    bool found = false;
    bool first = true;
    std::string_view rest = text.substr(32);
    while (!rest.empty()) {
        if (rest.front() != '+') return std::nullopt;
        rest.remove_prefix(1);
        const std::string_view hint = rest.substr(0, rest.find('+'));
        rest.remove_prefix(hint.size());
        if (hint.empty()) return std::nullopt;
        const char kind = hint.front();
        if (kind == 'A') {
            if (found || hint.size() != 1 + 40 + 1 + 8 || hint[41] != '@') return std::nullopt;
            out.signature = hint.substr(1, 40);
            out.expiry = hint.substr(42);
            const auto is_hex = [](char c) { return hex_value(c) >= 0; };
            if (!std::ranges::all_of(out.signature, is_hex) || !std::ranges::all_of(out.expiry, is_hex))
                return std::nullopt;
            found = true;
        } else if (is_digit(kind)) {
            if (!first || !is_number(hint)) return std::nullopt;
        } else if (kind >= 'B' && kind <= 'Z') {
            for (const char c : hint) {
                if (!is_alphanumeric(c) && c != '@' && c != '_' && c != '-') return std::nullopt;
            }
        } else {
            return std::nullopt;
        }
        first = false;
    }
    if (!found) return std::nullopt;
    return out;
}

}  // namespace

locator_signer::locator_signer(std::string key, std::chrono::seconds ttl)
    : key_(std::move(key)), ttl_(ttl), ttl_hex_(fmt::format("{:x}", ttl.count())) {}

std::string locator_signer::sign(std::string_view bare_locator, std::string_view token, time_point now) const {
    std::string out(bare_locator);
    if (key_.empty() || token.empty()) return out;
    const std::string expiry = fmt::format("{:08x}", (now + ttl_).time_since_epoch().count());
    const auto signature = compute(key_, bare_locator.substr(0, bare_locator.find('+')), token, expiry, ttl_hex_);
    return out + "+A" + to_hex(signature) + "@" + expiry;
}

result<void> locator_signer::verify(std::string_view signed_locator, std::string_view token, time_point now) const {
    const auto claim = parse(signed_locator);
    if (!claim) return fail(errc::bad_request, "invalid signature");
    const auto expiry = parse_number<std::uint32_t>(claim->expiry, 16).value_or(0);
    if (time_point(std::chrono::seconds(expiry)) < now) return fail(errc::unauthorized, "expired signature");
    const auto expected = to_hex(compute(key_, claim->hash, token, claim->expiry, ttl_hex_));
    if (CRYPTO_memcmp(expected.data(), claim->signature.data(), expected.size()) != 0)
        return fail(errc::bad_request, "invalid signature");
    return {};
}

}  // namespace keepstore::protocol
