/// Keys from a profile of the shared files: keys themselves, a command (credential_process), a web identity, or a role
/// to assume (role_arn) with keys of another profile (source_profile), of somewhere else (credential_source) or of its
/// own.
#pragma once

#include "s3/credentials/credential_http.hpp"
#include "s3/credentials/profile_file.hpp"

#include <array>
#include <memory>
#include <string>
#include <vector>

namespace keepstore::s3 {

/// The files are those of AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE, or in ~/.aws; the profile is that of
/// AWS_PROFILE, or "default". Read anew at each fetch: the files may have changed. A profile named by AWS_PROFILE must
/// exist. A file that is there and cannot be read counts as empty, with a warning, as long as no variable asks for it:
/// in many a home it belongs to somebody else, and the keys are elsewhere.
class profile_source final : public credentials_source {
  public:
    explicit profile_source(std::shared_ptr<const source_context> context) : context_(std::move(context)) {}

    [[nodiscard]] awaitable<result<credentials>> fetch(deadline until) override;

  private:
    [[nodiscard]] awaitable<result<profiles>> read_files(deadline until);
    // Awaited in place: `all` and `settings` are the caller's.

    /// \param above  the profiles whose source this one is, each in turn.
    [[nodiscard]] awaitable<result<credentials>> resolve(const profiles& all, std::string name,
                                                         std::vector<std::string> above, deadline until);
    [[nodiscard]] awaitable<result<credentials>> role_keys(const profiles& all, std::string name,
                                                           std::vector<std::string> above, deadline until);
    /// The keys with which the profile's role is assumed.
    [[nodiscard]] awaitable<result<credentials>> base_keys(const profiles& all, std::string name,
                                                           std::vector<std::string> above, deadline until);
    /// Those that the profile has without any role. errc::not_found.
    [[nodiscard]] awaitable<result<credentials>> own_keys(const profile_settings& settings, std::string name,
                                                          deadline until);
    [[nodiscard]] awaitable<result<credentials>> run_command(std::string command, std::string source, deadline until);

    const std::shared_ptr<const source_context> context_;
    std::array<bool, 2> complained_{};  ///< About the files; fetches come one at a time.
};

}  // namespace keepstore::s3
