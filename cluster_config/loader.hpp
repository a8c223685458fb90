/// Loads a cluster configuration from a file, from standard input or from text (docs/interface.md 1). Errors
/// and warnings are lines for the operator that name the file, the line, the key path, what was
/// found and what would be right.
#pragma once

#include "cluster_config/config.hpp"

#include <expected>
#include <iosfwd>
#include <string>
#include <string_view>

namespace keepstore::cluster_config {

/// The environment variables that matter, as values, so that everything above them is pure.
struct environment {
    std::string config_path;           ///< ARVADOS_CONFIG
    std::string service_internal_url;  ///< ARVADOS_SERVICE_INTERNAL_URL
    std::string api_token;             ///< ARVADOS_API_TOKEN
    std::string api_host;              ///< ARVADOS_API_HOST
    std::string api_host_insecure;     ///< ARVADOS_API_HOST_INSECURE

    [[nodiscard]] static environment of_process();
};

/// Pure: no files, no clock (timestamp is left at the epoch). `source` is only named in messages.
/// Takes any bytes.
[[nodiscard]] std::expected<config, std::string> parse_config(std::string_view text, std::string_view source = "-",
                                                              const environment& env = {});

/// Reads `path`, or `standard_input` when it is "-".
[[nodiscard]] std::expected<config, std::string> load_config(const std::string& path, const environment& env,
                                                             std::istream& standard_input);

}  // namespace keepstore::cluster_config
