/// Arbitrary bytes as every document of Azure: a listing, an error, an access token, and as the secrets of a
/// configuration: a value or an error, and never a listing whose end the document does not state, or an error that
/// shows a secret.
#include "azure/credentials/authorization.hpp"
#include "azure/credentials/managed_identity.hpp"
#include "azure/xml.hpp"

#include <cstdlib>
#include <string>
#include <string_view>

using namespace keepstore;
using namespace keepstore::azure;

namespace {

/// Asserts that an error has a text.
template <class T>
void check(const result<T>& got) {
    if (!got && got.error().text.empty()) std::abort();
}

/// Stands for a secret; no text of an error has it by chance.
constexpr std::string_view marker = "Zq7Xk2Zq7Xk2";

/// Asserts that an error has a text without the secret.
template <class T>
void check_secret(const result<T>& got) {
    check(got);
    if (!got && got.error().text.contains(marker)) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto page = parse_list_page(text);
    check(page);
    if (page) {
        if (page->truncated == page->next.empty()) std::abort();
        if (!text.contains("NextMarker") || !text.contains("Blobs")) std::abort();
        for (const auto& object : page->objects) {
            if (object.key.empty()) std::abort();
        }
    }
    if (const auto code = parse_error_code(text); code && code->empty()) std::abort();

    const auto token = parse_access_token(text, {.source = "fuzz", .now = {}});
    check(token);
    if (token && token->keys.session_token.reveal().find_first_of(" \r\n") != std::string::npos) std::abort();
    if (token && !token->expires_at) std::abort();

    const auto key = parse_account_key(text);
    check(key);
    if (key && key->key.empty()) std::abort();
    const auto signature = parse_sas(text);
    check(signature);
    if (signature && signature->parameters.size() < 2) std::abort();

    const std::string secret(marker);
    check_secret(
        parse_access_token(R"({"access_token":")" + secret + std::string(text), {.source = "fuzz", .now = {}}));
    check_secret(parse_account_key(secret + std::string(text)));
    check_secret(parse_sas("sv=1&sig=" + secret + "&" + std::string(text)));
    return 0;
}
