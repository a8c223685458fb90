/// Fetches keys by a profile of the shared files: keys in it, a command (credential_process), a web identity, or a role
/// to assume (role_arn) with keys of another profile (source_profile), of another source (credential_source) or of its
/// own.
#pragma once

#include "s3/credentials/profile_file.hpp"
#include "s3/credentials/source_context.hpp"

#include <array>
#include <memory>
#include <string>
#include <vector>

namespace keepstore::s3 {

/// The files are those of AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE, or in ~/.aws; the profile is that of
/// AWS_PROFILE, or "default". They are read for each fetch, since they may change. A profile named by AWS_PROFILE must
/// exist. A file that cannot be read counts as empty, with a warning, unless a variable names it or the profile: on
/// many hosts the default profile belongs to another user's tooling.
class profile_source final : public credentials_source {
  public:
    explicit profile_source(std::shared_ptr<const source_context> context) : context_(std::move(context)) {}

    [[nodiscard]] awaitable<result<credentials>> fetch(deadline until) override;

  private:
    [[nodiscard]] awaitable<result<profiles>> read_files(deadline until);
    // Awaited in place: `all` and `settings` are the caller's.

    /// Fetches the keys of a profile.
    /// \param above  the chain of profiles whose source_profile led to this one.
    [[nodiscard]] awaitable<result<credentials>> resolve(const profiles& all, std::string name,
                                                         std::vector<std::string> above, deadline until);
    /// Assumes the profile's role.
    [[nodiscard]] awaitable<result<credentials>> role_keys(const profiles& all, std::string name,
                                                           std::vector<std::string> above, deadline until);
    /// Fetches the keys with which the profile's role is assumed.
    [[nodiscard]] awaitable<result<credentials>> base_keys(const profiles& all, std::string name,
                                                           std::vector<std::string> above, deadline until);
    /// Fetches the keys of the profile without any role. errc::not_found.
    [[nodiscard]] awaitable<result<credentials>> own_keys(const profile_settings& settings, std::string name,
                                                          deadline until);
    /// Runs a credential_process.
    [[nodiscard]] awaitable<result<credentials>> run_command(std::string command, std::string source, deadline until);

    const std::shared_ptr<const source_context> context_;
    std::array<bool, 2> warned_{};  ///< About each file. Not guarded: fetches run one at a time.
};

}  // namespace keepstore::s3
