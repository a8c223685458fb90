#include "protocol/remote_token.hpp"

#include "base/hex.hpp"
#include "base/text.hpp"
#include "net/http/text.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>

namespace keepstore::protocol {
namespace {

// The length of a salted secret: SHA-1 in hex.
constexpr std::size_t salted_characters = 40;

std::string hmac_sha1_hex(std::string_view key, std::string_view message) {
    std::array<unsigned char, 20> out{};
    unsigned length = out.size();
    HMAC(EVP_sha1(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(message.data()),
         message.size(), out.data(), &length);
    return to_hex(out);
}

bool is_version_1(std::string_view token) {
    return token.size() > salted_characters && std::ranges::all_of(token, is_lower_or_digit);
}

}  // namespace

result<std::string> salt_token(std::string_view token, std::string_view cluster_id) {
    const auto malformed = [&] {
        if (is_version_1(token)) return fail(errc::bad_request, "obsolete token format");
        return fail(errc::io_error, "badly formatted token");
    };
    // Such a token cannot be sent in a header. Refused here, or else it would look like a failure of the other cluster.
    if (!net::is_header_value(token)) return fail(errc::io_error, "badly formatted token");
    if (!token.starts_with("v2/")) return malformed();
    const auto slash = token.find('/', 3);
    if (slash == std::string_view::npos) return malformed();
    const std::string_view uuid = token.substr(3, slash - 3);
    const std::string_view rest = token.substr(slash + 1);
    const std::string_view secret = rest.substr(0, rest.find('/'));
    if (uuid.starts_with(cluster_id)) return std::string(token);
    if (secret.size() == salted_characters) return fail(errc::io_error, "token already salted");
    return fmt::format("v2/{}/{}", uuid, hmac_sha1_hex(secret, cluster_id));
}

}  // namespace keepstore::protocol
