/// Secrets in files of their own (docs/interface.md 1.13): the folder $CREDENTIALS_DIRECTORY, which systemd makes from
/// LoadCredential=. A key that the configuration leaves out, or has empty, is taken from the file with its name:
///
///     SystemRootToken  ManagementToken  BlobSigningKey      these keys
///     TLS.Certificate  TLS.Key                              PEM files: the key gets the path of the file
///     UUID.KEY                                              Volumes.UUID.DriverParameters.KEY
///
/// The configuration itself says nothing about them, so every program of the cluster can read it: a map where Arvados
/// expects a text would be an error in all of its services.
#pragma once

#include "cluster_config/config.hpp"

#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::cluster_config {

struct config_context;

/// A folder with one file for each secret. Reads when it is asked to.
class credential_folder {
  public:
    /// No folder, no secrets.
    credential_folder() = default;
    /// An empty path is no folder. \returns the error line if there is a path and the folder cannot be read.
    [[nodiscard]] static std::expected<credential_folder, std::string> open(const std::string& path);

    [[nodiscard]] const std::vector<std::string>& names() const noexcept { return names_; }
    [[nodiscard]] std::string path_of(std::string_view name) const;
    /// Whether other users of the host may read a file.
    enum class readers { owner, everyone };
    /// Reads a file without a line end at its end. \throws config_error, with the file and what to do, for one that is
    /// no regular file, cannot be read, has more readers than allowed, or is empty or larger than
    /// limits::credential_bytes_max.
    [[nodiscard]] std::string read(std::string_view name, readers allowed = readers::owner) const;
    /// Reads a secret: a file of one line without other control characters. \throws config_error
    [[nodiscard]] std::string read_line(std::string_view name) const;

  private:
    std::string path_;
    std::vector<std::string> names_;  // Sorted.
};

/// Fills gaps of the cluster's section. To be called before the section is decoded, so that the
/// same rules hold for secrets from files. Warns about files that are not used.
/// \returns where each secret comes from.
/// \throws config_error
[[nodiscard]] std::vector<secret_origin> apply_credentials(config_value& cluster, const credential_folder&,
                                                           config_context&);

}  // namespace keepstore::cluster_config
