#include "azure/credentials/credentials.hpp"

namespace keepstore::azure {

result<authorization> make_authorization(const credentials_config& config) {
    if (!config.account_key.empty() && !config.sas.empty()) {
        return fail(errc::bad_request, "both an account key and a shared access signature are given: remove one");
    }
    if (!config.account_key.empty()) {
        KS_TRY(auto key, parse_account_key(config.account_key.reveal()));
        return key;
    }
    if (!config.sas.empty()) {
        KS_TRY(auto token, parse_sas(config.sas.reveal()));
        return token;
    }
    KS_TRY(auto cache, make_managed_identity(config.identity));
    return cache;
}

}  // namespace keepstore::azure
