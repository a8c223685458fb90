/// How requests are authorised: with the account's key (Shared Key), with a shared access signature in the query, or
/// with an access token of a managed identity. Exactly one of them is configured; there is no chain.
///
/// Values; safe to copy and to use from any thread.
#pragma once

#include "base/error.hpp"
#include "cloud/credentials/credentials.hpp"
#include "cloud/query.hpp"
#include "cloud/secret.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <variant>

namespace keepstore::azure {

/// The account's key signs every request (azure/shared_key.hpp). It may do everything in the account.
struct shared_key {
    cloud::secret_string key;  ///< Decoded: bytes.
};

/// A shared access signature: query parameters that are appended to every request. Never logged.
struct sas_token {
    cloud::name_values parameters;  ///< Decoded, without "?"; the value of "sig" is a secret.
    std::string expiry;             ///< The parameter "se", as it is; empty if a stored access policy has it.
};

/// Access tokens for https://storage.azure.com/, renewed ahead of time: credentials::keys.session_token.
using token_cache = std::shared_ptr<cloud::credentials_cache>;

using authorization = std::variant<shared_key, sas_token, token_cache>;

/// Decodes an account key as the portal shows it: base64. errc::bad_request for anything else; the text says what to do
/// and does not contain the key. White space at the ends, as in files, is ignored.
[[nodiscard]] result<shared_key> parse_account_key(std::string_view text);

/// Parses a shared access signature as the portal shows it: "sv=...&sig=...", with or without a "?" before it, or as
/// the query of a whole URL. errc::bad_request for anything else; the text does not contain it.
[[nodiscard]] result<sas_token> parse_sas(std::string_view text);

/// Says for logs and probes what is used: "the account key", "a shared access signature, good until 2030-01-01T00:00Z".
[[nodiscard]] std::string describe(const authorization& how);

}  // namespace keepstore::azure
