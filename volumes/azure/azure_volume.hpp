/// The Azure driver: blocks as blobs of a container in the layout of the Go daemon (docs/interface.md 4.8;
/// volumes/azure/blob_state.hpp shows it), interchangeable with it on the same container at the same time. A PUT
/// streams through without a whole-block buffer, and the service checks its MD5; readers of one block share one GET.
/// Every change of a blob that depends on its state is made on the condition that the state is still that (If-Match),
/// so that touch, trash, untrash and the emptying of trash by several daemons never undo each other.
///
/// Requests run on event loops of the volume's own (volumes/cloud).
#pragma once

#include "azure/client.hpp"
#include "azure/limits.hpp"
#include "cloud/secret.hpp"
#include "volumes/azure/limits.hpp"
#include "volumes/cloud/cloud_options.hpp"
#include "volumes/volume.hpp"

#include <chrono>
#include <memory>
#include <string>

namespace keepstore::volumes {

struct azure_options : cloud_options {
    std::string account;
    std::string container;
    // What identifies this program: one of these; neither: a managed identity of the machine.
    keepstore::cloud::secret_string account_key;
    keepstore::cloud::secret_string shared_access_signature;
    std::string identity_client_id;  ///< Empty: the only identity that the machine has.

    std::string base_url = "core.windows.net";  ///< https://ACCOUNT.blob.BASE
    std::string endpoint;                       ///< In place of that: the whole address, of an emulator.
    std::chrono::milliseconds request_timeout = limits::azure_request_timeout;  ///< Longest silence of a request.
    std::chrono::milliseconds list_retry_delay = limits::azure_list_retry_delay;
    unsigned list_attempts_max = limits::azure_list_attempts_max;
    /// A blob without content that is younger is one that another program is writing.
    std::chrono::milliseconds write_race_interval = limits::azure_write_race_interval;
    std::chrono::milliseconds write_race_poll_time = limits::azure_write_race_poll_time;

    // For tests.
    unsigned list_keys_max = limits::azure_list_blobs_max;
};

/// Says whether open_azure_volume() would succeed, and asks no service.
[[nodiscard]] result<void> check_azure_volume(const azure_options& options);

/// Does not wait for the service: whether the container can be used shows in health() and in the log soon after.
/// \returns errc::bad_request, in plain words, for options that cannot work.
[[nodiscard]] result<std::unique_ptr<volume>> open_azure_volume(azure_options options);

}  // namespace keepstore::volumes
