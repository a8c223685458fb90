/// Limits of the store, with their reasons; see base/limits.hpp.
#pragma once

#include "base/limits.hpp"
#include "base/units.hpp"
#include "net/limits.hpp"
#include "volumes/limits.hpp"

#include <chrono>
#include <cstddef>

namespace keepstore::limits {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// --- memory ----------------------------------------------------------------------------------------------------------
/// Copying a block from one volume to another, while it is hashed: the chunk that is read, one being hashed and one
/// being written, since both consumers are told to queue one; and one for a call that hangs.
inline constexpr std::size_t copy_lease_chunks = 4;
/// In addition to the budget, for changing volumes in the middle of a PUT: 16 copies at a time, so that copies from or
/// to a hung volume leave places for those of others.
inline constexpr std::size_t copy_pool_bytes = 16 * copy_lease_chunks * chunk_size_bytes;
/// The same for the digest of a PUT while memory is plenty: two of the bursts of 4 MiB in which S3 servers take a body.
inline constexpr std::size_t digest_lag_bytes_max = 8 * MiB;
/// The largest body of a PUT that is kept in memory until it is stored, if there is more than one volume: what a writer
/// may have queued in any case.
inline constexpr std::size_t kept_body_bytes_max = request_queue_bytes_max;
/// What all of them keep together, and at most an eighth of the budget: clients may be slow to send the rest.
inline constexpr std::size_t kept_bodies_bytes_max = 32 * MiB;
/// Pool memory that all GETs together hold for segments under way. Fills the lanes of two cores several times over, and
/// bounds what thousands of readers that come at once can take before it shows which of them are slow.
inline constexpr std::size_t read_window_bytes = 128 * MiB;
/// What a GET verifies before its status line, all of it if the block ends before: one segment of a block of 64 MiB.
/// Damage there gets an error status; the first byte waits for nothing else.
inline constexpr std::size_t verified_first_bytes = 1 * MiB;
/// Segments that one GET reads and verifies ahead: one for each lane of the widest instruction set. For a block of 64
/// MiB that is 16 MiB.
inline constexpr std::size_t read_ahead_segments_max = 16;
/// Minimum: one that is sent, and one that is hashed meanwhile.
inline constexpr std::size_t read_ahead_segments_min = 2;
/// Segments that one GET from a remote cluster gathers before it hashes them in parallel lanes: half of the widest
/// lanes cost little more per byte than all of them.
inline constexpr std::size_t stream_batch_segments_max = 8;
/// The largest segment that is verified as one. The daemon writes none that are larger (waypoints::stride_for a block
/// of 64 MiB); the format allows up to 64 MiB, which would be that much memory, or reading without a look-ahead.
/// Waypoints with larger ones are treated as unusable, wherever they are read, and replaced.
inline constexpr std::size_t segment_bytes_max = 1 * MiB;
static_assert(segment_bytes_max == block_size_bytes_max / 64);
/// Hashing one segment, or a whole block serially: as much as the largest segment, so that it is read concurrently.
inline constexpr std::size_t verify_lease_chunks = segment_bytes_max / chunk_size_bytes;
/// In addition to the budget: for GETs that find no room in it. 16 of them verify a segment at a time, 64 send a piece.
inline constexpr std::size_t scratch_pool_bytes = 16 * verify_lease_chunks * chunk_size_bytes;

// --- store -----------------------------------------------------------------------------------------------------------
/// Bad copies that were logged already and are not logged again; beyond this the memory starts afresh.
inline constexpr std::size_t bad_copies_remembered_max = 10'000;
/// When all copies of a block are damaged: number of different sets of waypoints that are tried. True ones are equal on
/// all volumes; others are forged, or written by faulty software.
inline constexpr std::size_t stitched_waypoints_max = 4;
/// Segments of up to 1 MiB that are verified concurrently then: some lanes, and a quarter of the scratch pool.
inline constexpr std::size_t stitched_units = 4;
static_assert(stitched_units * segment_bytes_max <= scratch_pool_bytes / 4);
/// A worker on a list gives its event loop to others after this: a million items that are wrong need no waiting.
inline constexpr milliseconds list_worker_turn{5};
/// Time for one item of a trash list on one mount; then the worker continues with the next one.
inline constexpr minutes trash_item_timeout{1};

/// Bytes that a slow client of a stream (S3) gets at a time: half of unsent_bytes_min (net/limits.hpp), which its
/// socket takes at once when it is ready. The chunk that they were read into is free again then, and thousands of such
/// clients need few.
inline constexpr std::size_t slow_stream_piece_bytes = 32 * KiB;

// --- scrub -----------------------------------------------------------------------------------------------------------
/// Parts of a block that a scrub reads before it hashes them in parallel: the lanes of the widest engine.
inline constexpr std::size_t scrub_lanes = 16;
/// Blocks that are checked in this way at the same time: one is read while the other is hashed.
inline constexpr unsigned scrub_batch_checkers = 2;
/// Memory of one volume's scrub, in addition to the budget, so that it never competes with requests. Blocks that are
/// verified one by one share it with those checks.
inline constexpr std::size_t scrub_pool_bytes = 8 * MiB;
static_assert(scrub_lanes * scrub_batch_checkers * chunk_size_bytes <= scrub_pool_bytes);
/// The same for its repairs, one at a time.
inline constexpr std::size_t repair_pool_bytes = copy_lease_chunks * chunk_size_bytes;
/// Small blocks that a scrub reads before it hashes them in parallel, if they fit scrub_lanes chunks: enough for the
/// lanes of two workers several times over, so that few are empty at the end.
inline constexpr std::size_t scrub_batch_blocks = 256;
/// The part of these that one call reads sequentially: enough that the switch to a thread and back is noise, little
/// enough that a spinning disk reads it in a fifth of a second.
inline constexpr std::size_t scrub_call_blocks = 16;
inline constexpr std::size_t scrub_call_bytes = 2 * chunk_size_bytes;
/// Batches that are listed before they are verified, so that the listing continues while others are read.
inline constexpr std::size_t scrub_batches_listed_max = 3;
/// Threads of a volume that its scrub uses at most: a third. Eight reads in flight keep a solid-state disk busy.
inline constexpr unsigned scrub_reads_max = 8;
static_assert(scrub_reads_max * 3 <= volume_threads_max);
/// Blocks without waypoints that are verified concurrently: each has one lane, and one read in flight.
inline constexpr unsigned scrub_blocks_max = scrub_reads_max;
/// Steps of a pass, after each of which it can be resumed later: the folders of a Directory volume.
inline constexpr unsigned scrub_steps = 4096;
/// How often the position of a scrub is saved: bounds what is verified twice after a crash.
inline constexpr seconds scrub_save_interval{10};
/// Time limit of a save, which the scrub can do without.
inline constexpr seconds scrub_save_timeout{10};
/// Time limit of the last save, which must not delay the end of the process.
inline constexpr seconds scrub_last_save_timeout{2};
/// A pass that is due at the start, or was cut short by the last stop, begins this much later.
inline constexpr seconds scrub_start_delay{5};
/// A pass that failed is resumed after this (or after ScrubInterval if that is shorter).
inline constexpr minutes scrub_retry_after{60};
/// Attempts at a block or a listing while the volume does not respond, with pauses that begin at scrub_pause_min and
/// double; then the pass ends. Half a minute in all, in addition to the calls' own limit.
inline constexpr unsigned scrub_attempts_max = 6;
inline constexpr milliseconds scrub_pause_min{1000};
/// This many unreadable copies in a row mean that the volume is broken, not its copies: the pass ends.
inline constexpr unsigned scrub_unreadable_in_a_row_max = 32;
/// A copy that is replaced this often while it is verified is left to the next pass.
inline constexpr unsigned scrub_changes_max = 3;
/// One repair, which reads the good copy at the scrub's rate.
inline constexpr minutes scrub_repair_timeout{10};
/// Wait for memory of the scrub, which its other checks have meanwhile, at its rate: longer than they take for a few
/// blocks at the lowest useful rate. Then the volume counts as one that does not respond.
inline constexpr minutes scrub_memory_timeout{60};
/// Irreparable copies that are listed one by one; the rest is only counted.
inline constexpr std::size_t scrub_listed_max = 1000;

// --- pull lists and reads from other clusters ------------------------------------------------------------------------
/// One block from one server. Keepstores end a request after five minutes (API.RequestTimeout) themselves.
inline constexpr minutes pull_attempt_timeout{5};
/// Servers are asked again for an item only within this: the next balance run lists it again.
inline constexpr minutes pull_item_timeout{15};
/// A server that sends nothing for this long is given up for the next one. A keepstore that hashes 64 MiB from a cold
/// disk before its first byte needs two or three seconds.
inline constexpr seconds pull_silence_max{20};
/// A server that sends slower than this, averaged over such a window of waiting for it, is given up, too: otherwise it
/// could hold a worker for pull_attempt_timeout. 64 MiB at this rate would not come within that time anyway; four
/// times what clients must reach (transfer_rate_bytes_min), since servers are near and well connected.
inline constexpr std::size_t pull_rate_bytes_min = 64 * KiB;
inline constexpr seconds pull_rate_window{20};
/// Memory of each pull worker, in addition to the budget of requests: pieces being hashed and pieces being written, and
/// the one being received. A quarter is left for calls on hung volumes, which keep theirs when an item is given up.
inline constexpr std::size_t pull_memory_bytes = 4 * MiB;
inline constexpr std::size_t pull_queue_bytes = 1 * MiB;
inline constexpr std::size_t pull_lease_chunks = 12;
static_assert(2 * pull_queue_bytes + 2 * chunk_size_bytes <= pull_lease_chunks * chunk_size_bytes);
static_assert(pull_lease_chunks * chunk_size_bytes < pull_memory_bytes);

}  // namespace keepstore::limits
