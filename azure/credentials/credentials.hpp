/// Chooses the authorisation by the configuration of a volume.
#pragma once

#include "azure/credentials/authorization.hpp"
#include "azure/credentials/managed_identity.hpp"

#include <string>

namespace keepstore::azure {

/// At most one of `account_key` and `sas` is given; with neither the machine's managed identity is used.
struct credentials_config {
    cloud::secret_string account_key;  ///< Base64, as the portal shows it.
    cloud::secret_string sas;          ///< "sv=...&sig=..."
    identity_options identity;
};

/// Touches neither files nor the network. errc::bad_request, in plain words and without secrets, for values that cannot
/// work.
[[nodiscard]] result<authorization> make_authorization(const credentials_config& config);

}  // namespace keepstore::azure
