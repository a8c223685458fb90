/// The S3 driver: blocks as objects of a bucket in the layout of the Go daemon (docs/interface.md 4.4;
/// volumes/s3/names.hpp shows it), interchangeable with it on the same bucket at the same time. A PUT streams through
/// without a whole-block buffer and is acknowledged when the service has confirmed block and marker; readers of one
/// block share one GET.
///
/// Requests to S3 run on event loops of the volume's own, so that readers and writers may be used from any loop, one
/// download can serve readers on several, and the circuit breaker (volumes/cloud/circuit_breaker.hpp) does not depend
/// on the callers' loops.
#pragma once

#include "s3/client.hpp"
#include "s3/cloud_names.hpp"
#include "s3/limits.hpp"
#include "volumes/cloud/cloud_options.hpp"
#include "volumes/s3/limits.hpp"
#include "volumes/volume.hpp"

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

namespace keepstore::volumes {

struct s3_options : cloud_options {
    std::string access_key_id;  ///< With the secret; both empty: AWS's chain (s3/credentials/credential_sources.hpp).
    keepstore::s3::secret_string secret_access_key;
    std::string keys_origin = "configuration";  ///< Where these two are, for the operator.
    std::string endpoint;
    std::string region;
    std::string bucket;
    bool use_path_style = false;
    std::size_t prefix_length = 0;
    unsigned index_page_size = limits::s3_list_keys_max;
    std::chrono::milliseconds read_timeout = limits::cloud_read_timeout;
    /// For this long after a change S3 may still return the old state (docs/interface.md 4.6 RaceWindow).
    std::chrono::nanoseconds race_window{0};
    /// Deletes blocks at once where the trash lifetime is 0; without it that is refused.
    bool unsafe_delete = false;
    bool tls_insecure = false;

    /// BlobSigningTTL and BlobTrashLifetime, the same as in the trash_options of each trash(). Reads, touches and the
    /// emptying of trash need them, too: they recognise a block that a race trashed (volumes/trash_rule.hpp).
    std::chrono::nanoseconds protect_for{0};
    std::chrono::nanoseconds trash_lifetime{0};
};

/// Says whether open_s3_volume() would succeed, and asks no service.
[[nodiscard]] result<void> check_s3_volume(const s3_options& options);

/// Does not wait for the service: whether the bucket can be used shows in health() and in the log soon after.
/// \returns errc::bad_request, in plain words, for options that cannot work.
[[nodiscard]] result<std::unique_ptr<volume>> open_s3_volume(s3_options options);

}  // namespace keepstore::volumes
