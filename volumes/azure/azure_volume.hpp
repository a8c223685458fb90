/// The Azure driver: blocks as blobs of a container in the layout of the Go daemon (docs/interface.md 4.8;
/// volumes/azure/blob_state.hpp shows it), interchangeable with it on the same container at the same time. A PUT
/// streams through without a whole-block buffer, and the service checks its MD5; readers of one block share one GET.
/// Every change of a blob that depends on its state is made on the condition that the state is still that (If-Match),
/// so that touch, trash, untrash and the emptying of trash by several daemons never undo each other.
///
/// Requests run on event loops of the volume's own (volumes/cloud).
#pragma once

#include "azure/client.hpp"
#include "cloud/environment.hpp"
#include "cloud/secret.hpp"
#include "volumes/azure/limits.hpp"
#include "volumes/volume.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace keepstore::volumes {

struct azure_options {
    std::string account;
    std::string container;
    // What identifies this program: one of these; neither: a managed identity of the machine.
    keepstore::cloud::secret_string account_key;
    keepstore::cloud::secret_string shared_access_signature;
    std::string identity_client_id;  ///< Empty: the only identity that the machine has.

    std::string base_url = "core.windows.net";  ///< https://ACCOUNT.blob.BASE
    std::string endpoint;                       ///< In place of that: the whole address, of an emulator.
    std::chrono::milliseconds connect_timeout = keepstore::limits::cloud_connect_timeout;
    std::chrono::milliseconds request_timeout = limits::azure_request_timeout;  ///< Longest silence of a request.
    std::chrono::milliseconds list_retry_delay = limits::azure_list_retry_delay;
    unsigned list_attempts_max = limits::azure_list_attempts_max;
    /// A blob without content that is younger is one that another program is writing.
    std::chrono::milliseconds write_race_interval = limits::azure_write_race_interval;
    std::chrono::milliseconds write_race_poll_time = limits::azure_write_race_poll_time;
    std::string ca_file;  ///< Empty: the system's.

    /// Whether blocks are written here.
    bool writable = true;
    /// A command that diagnoses the container, for the log. May be empty.
    std::string diagnosis;
    /// Event loops; 0: one per processor, at most limits::cloud_volume_loops_max.
    unsigned loops = 0;
    /// Where the proxy comes from.
    keepstore::cloud::environment env = keepstore::cloud::process_environment();

    // For tests.
    unsigned connections_max = limits::cloud_volume_connections_max;
    std::size_t fetch_memory_bytes = limits::cloud_fetch_memory_bytes;
    unsigned list_keys_max = limits::azure_list_keys_max;
    /// Blocks whose name is not the MD5 of their content: no Content-MD5 is sent.
    bool any_content = false;
    bool parallel_index = true;
    bool always_parts = false;
    /// Replaces the Last-Modified of a blob.
    std::function<keepstore::cloud::sys_seconds(const std::string& key, keepstore::cloud::sys_seconds)> observed_time;
    /// The time; by default the system's, corrected by the known offset of the service's clock.
    std::function<block_time()> now;
};

/// Says whether open_azure_volume() would succeed, and asks no service.
[[nodiscard]] result<void> check_azure_volume(const azure_options& options);

/// Does not wait for the service: whether the container can be used shows in health() and in the log soon after.
/// \returns errc::bad_request, in plain words, for options that cannot work.
[[nodiscard]] result<std::unique_ptr<volume>> open_azure_volume(azure_options options);

}  // namespace keepstore::volumes
