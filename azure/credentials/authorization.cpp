#include "azure/credentials/authorization.hpp"

#include "azure/limits.hpp"
#include "base/base64.hpp"
#include "base/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace keepstore::azure {
namespace {

constexpr std::string_view blanks = " \t\r\n";

/// Whether a pasted text is a whole connection string of the portal.
bool is_connection_string(std::string_view text) {
    return text.contains("AccountKey=") || text.contains("SharedAccessSignature=");
}

}  // namespace

result<shared_key> parse_account_key(std::string_view text) {
    text = trim(text, blanks);
    if (text.empty()) return fail(errc::bad_request, "StorageAccountKey is empty");
    if (is_connection_string(text)) {
        return fail(errc::bad_request,
                    "StorageAccountKey is a connection string: give only what follows AccountKey= in it");
    }
    auto bytes = decode_base64(text);
    if (!bytes) {
        return fail(errc::bad_request,
                    "StorageAccountKey is not base64: copy the whole key from \"Access keys\" of the storage account, "
                    "88 characters that end with ==");
    }
    if (bytes->empty() || bytes->size() > limits::azure_key_bytes_max) {
        return fail(errc::bad_request,
                    fmt::format("StorageAccountKey has {} bytes after decoding: keys of Azure have 64", bytes->size()));
    }
    return shared_key{cloud::secret_string(std::move(*bytes))};
}

result<sas_token> parse_sas(std::string_view text) {
    text = trim(text, blanks);
    if (is_connection_string(text)) {
        return fail(errc::bad_request,
                    "the shared access signature is a connection string: give only what follows "
                    "SharedAccessSignature= in it");
    }
    if (const auto query = text.find('?'); query != std::string_view::npos) text.remove_prefix(query + 1);
    sas_token out;
    bool is_signed = false;
    bool has_version = false;
    while (!text.empty()) {
        const auto pair = take_part(text, '&');
        const auto equals = pair.find('=');
        auto name = percent_decode(pair.substr(0, equals));
        auto value = equals == std::string_view::npos ? std::nullopt : percent_decode(pair.substr(equals + 1));
        if (!name || name->empty() || !value || value->empty()) {
            return fail(errc::bad_request,
                        "the shared access signature is malformed: expected name=value pairs joined by &");
        }
        is_signed = is_signed || *name == "sig";
        has_version = has_version || *name == "sv";
        if (*name == "se") out.expiry = *value;
        out.parameters.emplace_back(std::move(*name), std::move(*value));
    }
    if (!is_signed || !has_version) {
        return fail(
            errc::bad_request,
            "the shared access signature lacks sv or sig: copy the whole SAS token of the container or account");
    }
    return out;
}

std::string describe(const authorization& how) {
    if (std::holds_alternative<shared_key>(how)) return "the account key";
    if (std::holds_alternative<token_cache>(how)) return "the machine's managed identity";
    const auto& expiry = std::get<sas_token>(how).expiry;
    // It comes from the configuration, but may be anything.
    const bool plain = std::ranges::all_of(expiry, [](char c) { return c > 0x20 && c < 0x7f; });
    if (expiry.empty() || !plain) return "a shared access signature";
    return fmt::format("a shared access signature, good until {}", expiry);
}

}  // namespace keepstore::azure
