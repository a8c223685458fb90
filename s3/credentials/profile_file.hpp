/// Parses the shared files of AWS's tools, ~/.aws/credentials and ~/.aws/config, into maps. Pure functions.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace keepstore::s3 {

using profile_settings = std::map<std::string, std::string>;  ///< By lower-case name.
using profiles = std::map<std::string, profile_settings>;

/// The two files name their sections differently: [NAME] in credentials, [default] and [profile NAME] in config (other
/// sections of config, such as [sso-session x], are not profiles).
enum class profile_file { credentials, config };

/// Parses a file. Malformed lines are skipped, as AWS's tools do, and so are indented lines (nested settings of other
/// services).
[[nodiscard]] profiles parse_profiles(std::string_view text, profile_file kind);

/// Merges the two files; where both have a setting, that of `credentials` is used.
[[nodiscard]] profiles merge_profiles(profiles config, const profiles& credentials);

}  // namespace keepstore::s3
