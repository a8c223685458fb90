/// Limits of the S3 client, with their reasons; see base/limits.hpp.
#pragma once

#include "cloud/limits.hpp"

#include <chrono>

namespace keepstore::limits {

using std::chrono::seconds;

// --- S3 protocol -----------------------------------------------------------------------------------------------------
/// Keys in a page of a listing: the maximum of S3.
inline constexpr unsigned s3_list_keys_max = 1000;

// --- S3 credentials --------------------------------------------------------------------------------------------------
/// Requested lifetime of a session token of the instance metadata service: its maximum.
inline constexpr seconds metadata_token_lifetime{21600};
/// Length of a chain of source_profile entries.
inline constexpr unsigned credentials_profile_depth_max = 5;

}  // namespace keepstore::limits
