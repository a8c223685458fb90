/// Limits of volumes in the cloud, with their reasons; see base/limits.hpp.
#pragma once

#include "base/limits.hpp"
#include "base/units.hpp"

#include <chrono>
#include <cstddef>

namespace keepstore::limits {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

/// Event loops of one volume: one thread moves some GB/s without TLS and about one with it.
inline constexpr unsigned cloud_volume_loops_max = 4;
/// When a volume closes its cancelled tasks get this long. They end at once; this is for one that does not, which is a
/// bug.
inline constexpr seconds cloud_stop_wait{3};
/// A call without a block's content (HEAD, marker, copy inside the bucket, delete), and the wait for the head of a GET.
/// S3 responds to 0.1 % of requests after 5 s; clients want their whole block within 20 s (docs/interface.md 7.2).
inline constexpr seconds cloud_call_timeout{15};
/// Connections of one event loop of a volume. A request that finds none fails after cloud_call_timeout. The unit allows
/// 65,536 descriptors.
inline constexpr unsigned cloud_volume_connections_max = 1024;
/// Downloads that a volume has under way at a time, in quarters of its connections: the others are for requests that
/// must not wait for readers.
inline constexpr unsigned cloud_download_quarters = 3;
/// No fewer, however much the service throttles: enough to use any network fully, and for a service that limits the
/// rate of requests fewer at a time would be no help.
inline constexpr std::size_t cloud_downloads_min = 128;
/// While others wait, a download whose readers want nothing at the moment keeps its connection for no longer than this.
/// With 2,000 of 10,000 slow readers at a time each has its turn every five seconds, which is below all limits of
/// clients; a shorter turn costs the service more requests.
inline constexpr milliseconds cloud_download_turn{1000};
/// While there are more than cloud_downloads_min, a download of a large block begins with a GET of this much: the first
/// segment, which is verified before the first byte, and as much again.
inline constexpr std::size_t cloud_crowded_range_bytes = 2 * MiB;
/// After a pause a download continues with a GET of this much, and twice as much each time that it was received without
/// another pause: what is on its way when it pauses again is lost.
inline constexpr std::size_t cloud_resumed_range_bytes = chunk_size_bytes;
/// ... when no more than this is left for its readers: two pieces of a slow one (store/limits.hpp).
inline constexpr std::size_t cloud_resume_ahead_bytes = 64 * KiB;
/// When the service throttles, fewer downloads are let in, in steps of an eighth and at most once within the first of
/// these times; after the second one without throttling, more, in steps of a sixteenth.
inline constexpr milliseconds cloud_downloads_fewer_interval{500};
inline constexpr seconds cloud_downloads_more_after{2};
/// A download that was throttled waits for about this long before its next turn.
inline constexpr milliseconds cloud_download_throttled_pause{250};
/// Memory of one volume for blocks that are being downloaded, shared by their readers: one whole block, so that a
/// reader that joins while a hot block is being read finds its beginning. When it is used up it is taken from downloads
/// that need it least.
inline constexpr std::size_t cloud_fetch_memory_bytes = block_size_bytes_max;
/// In addition to it, for reads that wait for their bytes and find none left, which may be held by readers that pause.
/// Taken only as long as the read waits, so it is never held by a slow client; more reads wait for their turn. 64
/// chunks in transfer at a time use any network fully.
inline constexpr std::size_t cloud_fetch_reserve_bytes = 64 * chunk_size_bytes;
/// How far a download runs ahead of its fastest reader, which hashes and sends up to 8 MiB at a time: the bytes that
/// arrive meanwhile.
inline constexpr std::size_t cloud_read_ahead_bytes = 4 * MiB;
/// But no further than this at the expense of other downloads, or of its own slower readers.
inline constexpr std::size_t cloud_read_ahead_bytes_min = 4 * chunk_size_bytes;
/// A gap of this size before the next wanted byte is read and dropped; a larger one is worth a request of its own.
inline constexpr std::size_t cloud_skip_bytes_max = 1 * MiB;
/// The first ranged GET of a random read; each one that continues it is twice as large.
inline constexpr std::size_t cloud_range_bytes_min = 1 * MiB;
/// Parts of uploads: the smallest that S3 takes.
inline constexpr std::size_t cloud_part_bytes = 5 * MiB;
/// Uploads of unknown length at a time, with a part in memory each (40 MiB per volume). Keep clients announce the
/// length of what they send.
inline constexpr unsigned cloud_unsized_uploads_max = 8;
/// Smaller blocks are uploaded and downloaded by one request in any case.
inline constexpr std::size_t cloud_parallel_block_bytes_min = 16 * MiB;
/// Parts of larger ones that one volume has in memory to upload them concurrently (60 MiB), those that are being filled
/// included. Shared by all such blocks.
inline constexpr unsigned cloud_parallel_part_buffers = 12;
/// Up to this many concurrent uploads of large blocks may use parts. More of them use the network fully with one
/// request each.
inline constexpr unsigned cloud_parallel_uploads_max = 4;
/// Size of a range when a block is downloaded by concurrent ranges. It takes less than 0.1 s at the rate that Amazon
/// gives one connection.
inline constexpr std::size_t cloud_parallel_range_bytes = 4 * MiB;
/// Such ranges that one volume has in memory in addition to cloud_fetch_memory_bytes (64 MiB; those of readers that
/// left stay a moment longer). Shared by all such blocks.
inline constexpr unsigned cloud_parallel_range_buffers = 16;
/// At most this many ranges are requested concurrently until the first two have arrived in order. Bounds the waste when
/// a reader disconnects early.
inline constexpr std::size_t cloud_parallel_ranges_at_first = 4;
inline constexpr std::size_t cloud_parallel_ranges_read_first = 2;
/// Up to this many concurrent downloads of large blocks may use ranges. More of them use the network fully.
inline constexpr unsigned cloud_parallel_downloads_max = 8;
/// Total rate of the transfers under way, in bytes per second, above which parts are not tried. Amazon gives a
/// connection some 50 MB/s.
inline constexpr double cloud_whole_rate_enough = 200e6;
/// Minimum speed-up of parts to be worth their requests, a copy of each byte, and, in an upload, its second MD5.
inline constexpr double cloud_parallel_gain_min = 1.25;
/// After this time both ways are measured again.
inline constexpr minutes cloud_multipart_choice_kept{10};
/// After a service refused parts three times they are not tried again for this long: each attempt costs a client a 503.
inline constexpr minutes cloud_parts_refused_kept{24 * 60};
/// Listings of one index under way at a time: pairs of blocks and markers. Pages take 75 to 300 ms each at Amazon.
inline constexpr unsigned cloud_index_workers = 8;
/// Pages that wait for a slow reader of the index.
inline constexpr std::size_t cloud_index_pages_queued_max = 8;
/// Failures in a row, with no success between them, after which calls are refused until a probe succeeds.
inline constexpr unsigned cloud_outage_failures = 3;
/// When calls wait and none has made progress for this long, a probe checks whether the service responds.
inline constexpr milliseconds cloud_silence_max{1500};
/// Period and limit of quick probes. Together below 2 s, within which the end of an outage must be noticed.
inline constexpr milliseconds cloud_probe_interval{400};
inline constexpr milliseconds cloud_probe_timeout{1500};
/// Quick probes that must pass their limit in a row before that is an outage: with the silence before them 5 s without
/// any sign of life. One alone is a lost packet, or a server at work.
inline constexpr unsigned cloud_probe_timeouts_min = 2;
/// Time limit of the slow probe, which runs concurrently and finds that a service is slow but not down. Name servers
/// are given 5 s each and there may be three; a listing of a bucket with many deletions, or of one that is being
/// recovered, takes as long.
inline constexpr seconds cloud_long_probe_timeout{30};
/// Interval of probes while the bucket or the keys are wrong: that does not change soon.
inline constexpr seconds cloud_refused_probe_interval{5};
/// Waypoints of a 64 MiB block are 1.4 KiB in base64; S3 takes 2 KiB of user metadata.
inline constexpr std::size_t cloud_metadata_bytes_max = 1900;

}  // namespace keepstore::limits
