/// Options that the volumes of all cloud services have.
#pragma once

#include "cloud/environment.hpp"
#include "cloud/limits.hpp"
#include "cloud/time.hpp"
#include "volumes/cloud/download_turns.hpp"
#include "volumes/cloud/limits.hpp"
#include "volumes/volume.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

namespace keepstore::volumes {

struct cloud_options {
    std::chrono::milliseconds connect_timeout = limits::cloud_connect_timeout;
    std::string ca_file;  ///< Empty: that of AWS_CA_BUNDLE (S3), or the system's.
    /// Whether blocks are written here. Only then left-over uploads are aborted.
    bool writable = true;
    /// A command that diagnoses the bucket or container ("keepstore probe-s3 -volume ..."), for the log. May be empty.
    std::string diagnosis;
    /// Event loops; 0: one per processor, at most limits::cloud_volume_loops_max.
    unsigned loops = 0;
    /// Where the proxy comes from, and for S3 AWS's chain of credentials and AWS_CA_BUNDLE.
    keepstore::cloud::environment env = keepstore::cloud::process_environment();

    // For tests.
    /// Of each event loop; probes have their own.
    unsigned connections_max = limits::cloud_volume_connections_max;
    std::size_t fetch_memory_bytes = limits::cloud_fetch_memory_bytes;
    std::size_t fetch_reserve_bytes = limits::cloud_fetch_reserve_bytes;
    cloud::download_limits downloads = {};
    /// Blocks whose name is not the MD5 of their content: no Content-MD5 is sent and no ETag compared.
    bool any_content = false;
    bool parallel_index = true;
    /// Large blocks are always sent and fetched in parts, without measurement.
    bool always_parts = false;
    /// Replaces the Last-Modified of an object.
    std::function<keepstore::cloud::sys_seconds(const std::string& key, keepstore::cloud::sys_seconds)> observed_time;
    /// The time; by default the system's, corrected by the known offset of the service's clock.
    std::function<block_time()> now;
};

}  // namespace keepstore::volumes
