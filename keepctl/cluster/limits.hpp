/// Limits of the operator's tool, with their reasons; see base/limits.hpp.
#pragma once

#include "base/units.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace keepstore::limits {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

// --- command line ----------------------------------------------------------------------------------------------------
/// --memory: below the first, eight transfers would wait for each other's chunks all the time; above the last, the
/// memory is better left to the page cache.
inline constexpr std::size_t keepctl_memory_min = 64 * MiB;
inline constexpr std::size_t keepctl_memory_default = 128 * MiB;
inline constexpr std::size_t keepctl_memory_max = 4 * GiB;
/// --jobs: transfers between two places. Eight keep a solid-state disk and a 10 Gbit/s link busy; each takes up to
/// keepctl_queue_bytes twice.
inline constexpr unsigned keepctl_jobs_default = 8;
/// Between two servers a transfer mostly waits, for the source's check of the block and for the target's disk: twice as
/// many copy a third more in the same time (docs/performance.md, "keepctl").
inline constexpr unsigned keepctl_server_jobs_default = 16;
inline constexpr unsigned keepctl_jobs_max = 256;
/// --bandwidth: at the first a block of 64 MiB takes less than keepctl_block_timeout. With less than the second for
/// each of the jobs there are fewer of them; it is also the least for clone, which may read a block twice in that time.
inline constexpr std::size_t keepctl_bandwidth_min = 256 * KiB;
inline constexpr std::size_t keepctl_job_bandwidth_min = 1 * MiB;
/// Threads that compute digests: four do more than a network of 10 Gbit/s brings.
inline constexpr unsigned keepctl_digest_threads_max = 4;
/// Memory that a transfer needs in order not to wait for the others': a piece being read, hashed and written each.
inline constexpr std::size_t keepctl_job_bytes_min = 1 * MiB;
/// A list of blocks (--only, --from): 4 million names.
inline constexpr std::size_t names_file_bytes_max = 256 * MiB;
/// A token or key file is one line.
inline constexpr std::size_t keepctl_secret_bytes_max = 64 * KiB;

// --- requests --------------------------------------------------------------------------------------------------------
/// A request with a short response, such as GET /mounts.
inline constexpr seconds keepctl_request_timeout{20};
/// status: a server that has not responded by then counts as unreachable.
inline constexpr seconds keepctl_status_timeout{5};
/// status --watch: a round takes some requests to each server.
inline constexpr std::chrono::milliseconds watch_interval_min{100};
/// One block, from one place to another. Keepstores end a request after five minutes (API.RequestTimeout) themselves.
inline constexpr minutes keepctl_block_timeout{5};
/// A server that sends no byte for this long is given up. One that hashes 64 MiB from a cold disk before its first byte
/// needs two or three seconds.
inline constexpr seconds keepctl_silence_max{20};
/// scrub wait: a scrub takes hours.
inline constexpr seconds scrub_poll_interval{2};
/// Responses other than blocks and indexes: a server has some mounts, and /metrics some 100 KiB.
inline constexpr std::size_t keepctl_response_bytes_max = 16 * MiB;
/// Pieces that a transfer may have queued for its digest, and for its target.
inline constexpr std::size_t keepctl_queue_bytes = 1 * MiB;

// --- listings --------------------------------------------------------------------------------------------------------
/// No byte of an index came for this long: it is incomplete. A daemon sorts nothing, but a cold directory of a million
/// names takes a minute.
inline constexpr seconds listing_silence_max{120};
/// One shard of one place as a whole.
inline constexpr hours listing_time_max{1};
/// Attempts at a shard of one place, and the pause after the first and the second.
inline constexpr unsigned listing_attempts_max = 3;
inline constexpr seconds listing_pauses[] = {seconds(2), seconds(8)};
/// Threads that read and parse indexes: four take more than 10 Gbit/s of text.
inline constexpr unsigned listing_threads_max = 4;
/// Work is cut by this many hex digits at most: 4096 shards.
inline constexpr unsigned shard_digits_max = 3;
/// Entries expected in a shard at most, of all places together: 3.2 MB. Shards are listed ahead and sorted, so a few
/// times that is in use. A million took 26 MiB more for 1,000,000 blocks in two places, and no less time: a shard is
/// one request of each server.
inline constexpr std::uint64_t shard_entries_max = 100'000;
/// The number of entries is estimated from one shard of three digits; fewer there than this say little, and one digit
/// is listed instead.
inline constexpr std::size_t estimate_entries_min = 64;

// --- runs ------------------------------------------------------------------------------------------------------------
/// Failed blocks that are kept in memory, for the second chance at the end and for the report. All are counted, and
/// written to the failures file.
inline constexpr std::size_t failures_kept_max = 10'000;
/// Of these, printed.
inline constexpr std::size_t failures_printed_max = 100;
/// Attempts at one block when the failure may pass, and the longest wait after the first, doubled after each.
inline constexpr unsigned block_attempts_max = 5;
inline constexpr std::chrono::milliseconds block_attempt_pause{250};
/// After this many failures in a row, without a success of any block, the server fails as a whole, and is paused. One
/// block tries it after the first pause; after the second one if the destination is full, which takes longer to change.
/// As many shards in a row that could not be listed end a run.
inline constexpr unsigned place_failures_max = 10;
inline constexpr seconds place_pause{2};
inline constexpr seconds full_pause{30};
/// --newest-first: blocks whose newest copy is at most so old go before those that are older.
inline constexpr seconds age_bands[] = {hours(1), days(1), days(30)};
/// --continuous: a block that failed is tried again after the first, then after twice the time, up to the last.
inline constexpr minutes postponed_first{1};
inline constexpr minutes postponed_most{60};
/// --interval, from the end of a pass to the next one.
inline constexpr minutes interval_default{1};
/// --give-up-after: a restart of a server takes minutes. A full destination is given up after the second.
inline constexpr minutes give_up_after_default{15};
inline constexpr minutes full_give_up_after{10};
/// A checkpoint is not used when it is older: what its shards looked like then says nothing now.
inline constexpr days checkpoint_age_max{7};
inline constexpr seconds checkpoint_interval{1};
inline constexpr std::size_t checkpoint_bytes_max = 64 * KiB;
/// After the first SIGINT or SIGTERM blocks under way get this long.
inline constexpr seconds stop_grace{10};
/// No progress line more often than this on a terminal, and elsewhere.
inline constexpr std::chrono::milliseconds progress_interval_terminal{250};
inline constexpr seconds progress_interval_lines{30};
inline constexpr seconds progress_interval_json{1};
/// --metrics-file: as often as Prometheus usually looks.
inline constexpr seconds metrics_interval{15};
/// How often a run looks whether it is to stop, to show progress, or to write its checkpoint.
inline constexpr std::chrono::milliseconds run_tick{100};

static_assert(keepctl_memory_min / 2 >= keepctl_server_jobs_default * 2 * keepctl_queue_bytes);

}  // namespace keepstore::limits
