/// Limits of S3 volumes alone, with their reasons; see base/limits.hpp.
#pragma once

#include "volumes/cloud/limits.hpp"

#include <chrono>

namespace keepstore::limits {

/// Multipart uploads under a block's name that are older than this were left by a killed daemon and are aborted, at the
/// start and whenever the trash is emptied. Far above any request's duration: never one that is under way somewhere.
inline constexpr minutes s3_orphan_upload_age{24 * 60};
inline constexpr seconds s3_abort_timeout{30};
/// A copy inside the bucket must have a time this close to ours, as the Go daemon demands.
inline constexpr minutes s3_copy_skew_max{10};

}  // namespace keepstore::limits
