/// Keys from a profile of the shared files: keys themselves, a role to assume with the keys of another profile
/// (role_arn with source_profile or credential_source), a web identity, or a command (credential_process).
#pragma once

#include "s3/credential_http.hpp"
#include "s3/profile_file.hpp"

#include <memory>
#include <string>

namespace keepstore::s3 {

/// The files are those of AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE, or in ~/.aws; the profile is that of
/// AWS_PROFILE, or "default". Read anew at each fetch: the files may have changed. A profile named by AWS_PROFILE must
/// exist.
class profile_source final : public credentials_source {
  public:
    explicit profile_source(std::shared_ptr<const source_context> context) : context_(std::move(context)) {}

    [[nodiscard]] awaitable<result<credentials>> fetch(deadline until) override;

  private:
    [[nodiscard]] awaitable<result<profiles>> read_files(deadline until);
    /// \param all  is the caller's, who awaits this in place. \param depth  of source_profile.
    [[nodiscard]] awaitable<result<credentials>> resolve(const profiles& all, std::string name, unsigned depth,
                                                         deadline until);
    [[nodiscard]] awaitable<result<credentials>> role_keys(const profiles& all, std::string name, unsigned depth,
                                                           deadline until);
    [[nodiscard]] awaitable<result<credentials>> run_command(std::string command, std::string source, deadline until);

    const std::shared_ptr<const source_context> context_;
};

}  // namespace keepstore::s3
