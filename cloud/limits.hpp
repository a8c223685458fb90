/// Limits of the clients of object stores, S3 and Azure, with their reasons; see base/limits.hpp.
#pragma once

#include "base/limits.hpp"
#include "base/units.hpp"

#include <chrono>
#include <cstddef>

namespace keepstore::limits {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// --- Requests and retries --------------------------------------------------------------------------------------------
/// Attempts of one call, the first included. Four waits of at most 50, 100, 200 and 400 ms: in an outage a call fails
/// within a second, a failed node of a load balancer is not noticed.
inline constexpr unsigned cloud_attempts_max = 5;
inline constexpr milliseconds cloud_retry_transient_base{50};
/// After SlowDown or ServerBusy: 0.25, 0.5, 1 and 2 s at most. S3 re-partitions in seconds.
inline constexpr milliseconds cloud_retry_throttled_base{250};
/// Longest wait between two attempts, so that the end of an outage is noticed within 2 s.
inline constexpr milliseconds cloud_retry_wait_max{2000};
/// The retry budget of a bucket or container, with AWS's figures: 500 tokens, a retry after a response costs 5, one
/// after none 10, a first success returns 1. When everything fails, some 50 retries are spent and then each call is one
/// attempt.
inline constexpr int cloud_retry_tokens_max = 500;
inline constexpr int cloud_retry_cost_throttled = 5;
inline constexpr int cloud_retry_cost_transient = 10;
inline constexpr int cloud_retry_refund = 1;
/// Changes of region, clock or credentials within one call, each tried once at once.
inline constexpr unsigned cloud_corrections_max = 3;
/// Defaults where the configuration says nothing (docs/interface.md 1.9).
inline constexpr seconds cloud_connect_timeout{60};
inline constexpr seconds cloud_read_timeout{600};
/// An XML response. A page of 1,000 keys of 1 KiB is 1.5 MiB; services with larger pages exist.
inline constexpr std::size_t cloud_xml_bytes_max = 16 * MiB;
/// Each time a download has received this much, its count of broken connections is reset: it may break any number of
/// times as long as it makes progress. A block is 256 of these.
inline constexpr std::size_t cloud_resume_progress_bytes = chunk_size_bytes;
/// The body of an error, of which only code, region and request id matter.
inline constexpr std::size_t cloud_error_bytes_max = 64 * KiB;
/// Services refuse signatures whose time is 15 minutes off; from 4 minutes on the service's clock is used.
inline constexpr minutes cloud_clock_skew_tolerated{4};
/// For how long a bucket or container counts as existing after a response, when a 404 without a code leaves that open.
inline constexpr seconds cloud_place_seen_for{10};

/// Error types that have a metric of their own; codes come from the service, so their number must be bounded.
inline constexpr std::size_t cloud_error_types_max = 64;

// --- Credentials -----------------------------------------------------------------------------------------------------
/// Temporary keys are renewed this long before they expire, as the Go daemon does. The old ones serve meanwhile.
inline constexpr minutes credentials_renewal_window{5};
/// Minimum time from a fetch that failed or brought no new keys to the next; and from any fetch to one that is due to
/// expiry or rejected keys: a wrong clock must not cost a fetch for each request.
inline constexpr seconds credentials_retry_interval{5};
/// One fetch, all requests and retries included, whatever the deadlines of its waiters.
inline constexpr seconds credentials_fetch_timeout{15};
/// Time for the end of a fetch that was cancelled because the volume closes. It ends at once, unless a name server is
/// silent.
inline constexpr seconds credentials_stop_wait{2};
/// Instance metadata is on the same host: it responds at once or not at all.
inline constexpr seconds metadata_connect_timeout{2};
inline constexpr seconds metadata_answer_timeout{5};
/// Responses of credential services, profile files, token files, and the output of a credential_process.
inline constexpr std::size_t credentials_bytes_max = 256 * KiB;

// --- Probes ----------------------------------------------------------------------------------------------------------
/// The probe command of an operator: a good bucket takes a second. And the time to remove its test objects after that
/// limit has passed.
inline constexpr seconds cloud_probe_command_timeout{60};
inline constexpr seconds cloud_probe_cleanup{5};

}  // namespace keepstore::limits
