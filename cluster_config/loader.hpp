/// Loads a cluster configuration from a file, from standard input or from text (docs/interface.md 1). Errors and
/// warnings are lines for the operator that name the file, the line, the path of the key, what was found and what was
/// expected.
#pragma once

#include "cluster_config/config.hpp"
#include "cluster_config/credentials.hpp"
#include "cluster_config/environment.hpp"

#include <expected>
#include <iosfwd>
#include <string>
#include <string_view>

namespace keepstore::cluster_config {

/// Parses any bytes. Pure, but for `credentials`: no files, no clock (timestamp is left at the epoch). `source` is only
/// named in messages.
[[nodiscard]] std::expected<config, std::string> parse_config(std::string_view text, std::string_view source = "-",
                                                              const environment& env = {},
                                                              const credential_folder& credentials = {});

/// Reads `path`, or `standard_input` when it is "-", and the secrets in the credentials folder of the environment.
[[nodiscard]] std::expected<config, std::string> load_config(const std::string& path, const environment& env,
                                                             std::istream& standard_input);

}  // namespace keepstore::cluster_config
