/// The environment variables that matter (docs/interface.md 1.3), as values, so that everything else is pure.
#pragma once

#include <string>

namespace keepstore::cluster_config {

struct config_context;
struct config_value;

struct environment {
    std::string config_path;           ///< ARVADOS_CONFIG
    std::string service_internal_url;  ///< ARVADOS_SERVICE_INTERNAL_URL
    std::string api_token;             ///< ARVADOS_API_TOKEN
    std::string api_host;              ///< ARVADOS_API_HOST
    std::string api_host_insecure;     ///< ARVADOS_API_HOST_INSECURE
    std::string credentials_folder;    ///< CREDENTIALS_DIRECTORY

    [[nodiscard]] static environment of_process();
};

/// Fills gaps of the cluster's section with what old set-ups keep in the environment, with a warning for each. To be
/// called before the section is decoded, so that the same rules hold for both.
/// \throws config_error
void apply_environment(config_value& cluster, const std::string& path, const environment&, config_context&);

/// Sets SSL_CERT_FILE to the authorities that Arvados keeps in a file of its own, if it has one and the variable is not
/// set (docs/interface.md 1.3). Call before any thread starts.
void trust_arvados_authorities();

}  // namespace keepstore::cluster_config
