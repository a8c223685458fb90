/// Limits that an operator or a client can notice, with their reasons. Those that operators may want to change have a
/// configuration key, which is named with them; the others follow from the protocol or from the design. Constants of an
/// algorithm that only its own file uses stay there. The sum of all memory: base/memory_limits.hpp.
#pragma once

#include "base/units.hpp"

#include <chrono>
#include <cstdint>

namespace keepstore::limits {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// --- blocks -----------------------------------------------------------------------------------------------------
/// The largest block of the Keep protocol (docs/interface.md 1.6, 2.6: buffers are 64 MiB; a larger PUT is 413).
inline constexpr std::size_t block_size_bytes_max = 64 * MiB;

// --- log --------------------------------------------------------------------------------------------------------
/// Text queued for stderr; beyond this new lines are dropped and counted. Some 20,000 lines.
inline constexpr std::size_t log_queue_bytes_max = 8 * MiB;

// --- memory -----------------------------------------------------------------------------------------------------
/// Unit of the buffer pool. 256 KiB keeps 1,000 slow clients with a chunk each at 256 MiB, and is large enough that
/// system calls are noise (docs/performance.md). A multiple of every direct-I/O block size.
inline constexpr std::size_t chunk_size_bytes = 256 * KiB;
/// The pool grows by this much: one mapping of 64 chunks, touched as it is handed out and then kept.
inline constexpr std::size_t slab_size_bytes = 16 * MiB;
/// Allocations outside the pool of at least this size (parts of blocks on their way to or from S3, long lists,
/// responses) are mapped, and go back to the system when they are freed. By default malloc raises this threshold to the
/// largest such piece that was freed, and keeps some hundred MiB after the first busy minute.
inline constexpr std::size_t malloc_map_bytes_min = 1 * MiB;
/// Freed memory of smaller pieces that malloc may keep, instead of returning and faulting in the same pages again and
/// again.
inline constexpr std::size_t malloc_keep_bytes = 8 * MiB;
/// In addition to the budget, for repairs and for changing volumes in mid-stream: four chunks, since that is rare.
inline constexpr std::size_t copy_pool_bytes = 4 * chunk_size_bytes;
/// Bytes that one streaming request may have queued for each of its consumers (digest, every volume) while memory is
/// plenty.
inline constexpr std::size_t request_queue_bytes_max = 2 * MiB;
/// The same for the digest of a PUT while memory is plenty: two of the bursts of 4 MiB in which S3 servers take a body.
inline constexpr std::size_t digest_lag_bytes_max = 8 * MiB;
/// Below this much free budget per waiting request a request works with one chunk at a time.
inline constexpr std::size_t request_queue_bytes_min = chunk_size_bytes;

/// Pool memory that all GETs together hold for segments under way. Fills the lanes of two cores several times over, and
/// bounds what thousands of readers that come at once can take before it shows which of them are slow.
inline constexpr std::size_t read_window_bytes = 128 * MiB;
/// Segments that one GET reads and verifies ahead: one for each lane of the widest instruction set. For a block of 64
/// MiB that is 16 MiB, which take 4 ms until the first byte is sent.
inline constexpr std::size_t read_ahead_segments_max = 16;
/// Minimum: one that is sent, and one that is hashed meanwhile.
inline constexpr std::size_t read_ahead_segments_min = 2;
/// Segments that one GET from a remote cluster gathers before it hashes them in parallel lanes: half of the widest
/// lanes cost little more per byte than all of them.
inline constexpr std::size_t stream_batch_segments_max = 8;
/// In addition to the budget: 64 chunks for GETs that find no room in it, each held for a moment only.
inline constexpr std::size_t scratch_pool_bytes = 64 * chunk_size_bytes;

// --- store ------------------------------------------------------------------------------------------------------
/// Bad copies that were logged already and are not logged again; beyond this the memory starts afresh.
inline constexpr std::size_t bad_copies_remembered_max = 10'000;
/// When all copies of a block are damaged: number of different sets of waypoints that are tried. True ones are equal on
/// all volumes; others are forged, or written by faulty software.
inline constexpr std::size_t patchwork_points_max = 4;
/// Segments of up to 1 MiB that are verified concurrently then: some lanes, and a quarter of the scratch pool.
inline constexpr std::size_t patchwork_units = 4;
static_assert(patchwork_units * MiB <= scratch_pool_bytes / 4);
/// Time for one item of a trash list on one mount; then the worker continues with the next one.
inline constexpr minutes trash_item_timeout{1};
/// The trash is emptied this soon after a start (or after the interval if that is shorter), so that a daemon that is
/// restarted daily empties it at all.
inline constexpr minutes empty_trash_first_after{5};

// --- blocking work ----------------------------------------------------------------------------------------------
/// Threads per volume for calls that may block. Group commit of fsyncs needs about as many as there are writers
/// (16 connections: docs/performance.md); a hung disk can tie up no more than these.
inline constexpr unsigned volume_threads_max = 24;
/// Calls waiting for a volume thread; one more fails with `unavailable`.
inline constexpr std::size_t volume_queue_max = 16384;
/// A file system call that has not returned after this long counts as hung, whatever the request's own deadline: the
/// request continues on another volume. Well under the 20 s in which a Go client wants its whole block
/// (docs/interface.md 7.2).
inline constexpr seconds volume_call_timeout{10};
/// How often calls are checked for their deadlines, and whether all threads of a volume hang, so that further calls are
/// refused at once. Deadlines are seconds, so a coarse scan is enough, and costs nothing.
inline constexpr milliseconds hang_check_interval{100};
/// At the end of the process running calls get this long; then they are abandoned with their threads.
inline constexpr seconds blocking_stop_wait{2};

// --- digest engine ----------------------------------------------------------------------------------------------
/// Up to this size a piece of an idle stream is hashed on the calling thread: about 25 microseconds, which is what
/// waking another thread and coming back costs.
inline constexpr std::size_t digest_inline_bytes_max = 16 * KiB;
/// Bytes per lane of one pass. A newcomer waits for one pass at most: 16 lanes of 64 KiB take 125 microseconds, and
/// 64 KiB x 16 stay in an L2 cache.
inline constexpr std::size_t digest_pass_bytes = 64 * KiB;
/// Bytes that a stream may hash in one turn while others wait for a lane. One chunk: bookkeeping is noise, and with 64
/// busy streams on 32 lanes each gets its turn within a millisecond or two.
inline constexpr std::size_t digest_turn_bytes = chunk_size_bytes;

// --- HTTP transport ---------------------------------------------------------------------------------------------
/// Request line and headers. Real clients send under 4 KiB; proxies in front stop at 8 to 32 KiB. Go allows 1 MiB,
/// which lets each silent connection hold as much for the length of the header timeout. Beyond: 431.
inline constexpr std::size_t request_head_bytes_max = 64 * KiB;
/// Header lines of one request, so that a head of tiny lines does not become megabytes of strings.
inline constexpr std::size_t request_headers_max = 256;
/// First read of a request or a response: most heads, and most small bodies sent with them, fit.
inline constexpr std::size_t input_buffer_bytes = 16 * KiB;
/// Input buffers kept for reuse by each event loop (1 MiB).
inline constexpr std::size_t input_buffers_kept_max = 64;
/// X-Request-Id longer than this is treated as absent (it goes into logs and back to the client).
inline constexpr std::size_t request_id_bytes_max = 128;
/// A chunk-size line with its extension, and all trailer lines of one body, of a request or a response.
inline constexpr std::size_t chunk_line_bytes_max = 256;
inline constexpr std::size_t trailer_bytes_max = 4 * KiB;
/// From the first byte of a request until its head is complete; also the time for a TLS handshake. A head is one
/// packet; this covers its retransmission. Keepstore.HeaderTimeout.
inline constexpr seconds header_timeout{20};
/// A kept-alive connection without a request. Late: closing under a client's next PUT costs it an error
/// (docs/interface.md 7.1). Keepstore.IdleTimeout.
inline constexpr seconds idle_timeout{120};
/// Clients that transfer less than this, averaged over the window in which the request waited for them, are cut off.
/// Half the rate at which the clients themselves give up (docs/interface.md 7.1: 32 KiB/s). Keepstore.MinTransferRate
/// and MinTransferRatePeriod; only time in which the request waited for its client counts.
inline constexpr std::size_t transfer_rate_bytes_min = 16 * KiB;
inline constexpr seconds transfer_rate_window{10};
inline constexpr seconds transfer_rate_grace{5};
/// A request counts as stalled, and its place at the limiter goes to another one, when it has waited for its client
/// this much longer than a client of stall_rate_bytes per second would have made it wait. At that rate 64 places are
/// still 256 MiB/s; a slower client costs the daemon a hundredth of a core, so it need not hold a place. Longer: more
/// clients that send or take bursts count at a time; shorter: one lost packet makes a client stalled.
inline constexpr milliseconds stall_threshold{250};
inline constexpr std::size_t stall_rate_bytes = 4 * MiB;
/// Maximum of such waiting that is remembered. A stalled client has to make up for it, by a burst of 4 MiB, before it
/// counts again: a client that takes 64 KiB/s, however unevenly, then counts for 0.4% of its time at most, 10,000 of
/// them for 40 of the 64 places that MaxConcurrentRequests gives by default.
inline constexpr milliseconds stall_memory{1000};
static_assert(stall_memory > stall_threshold);
/// Unsent bytes of a response that the kernel holds (TCP_NOTSENT_LOWAT; net.ipv4.tcp_wmem, 4 MiB, is its own limit) for
/// a reader whose speed is not known yet; a reader that takes keeps_up_bytes without stalling is not limited. Half a
/// chunk: less makes more system calls; this costs 3 to 7% of CPU time with one connection, which is as much as runs
/// differ, and nothing with 16 (scripts/bench get64).
inline constexpr std::size_t unsent_bytes_first = 128 * KiB;
inline constexpr std::size_t keeps_up_bytes = 1 * MiB;
/// The same for a stalled reader: the bytes that it takes in this time, within these bounds. The socket becomes
/// writable when half of that is left, so a slow reader's waits are longer than slow_reader_wait, and it counts as
/// slow for the store, too. At least one piece that is verified for such a reader: each time that the socket takes a
/// part of one, all of it is read and hashed again. For 10,000 very slow readers this is some 500 MiB, below what makes
/// the kernel frugal on a host of 16 GiB (net.ipv4.tcp_mem).
inline constexpr milliseconds unsent_time{200};
inline constexpr std::size_t unsent_bytes_min = 64 * KiB;
inline constexpr std::size_t unsent_bytes_max = 512 * KiB;
/// Period of each loop's tick: the resolution of all limits above and of request deadlines.
inline constexpr milliseconds transport_tick{100};
/// After a cancellation the handler may still send a response; the client must take it within this.
inline constexpr seconds final_response_timeout{5};
/// An unread request body up to this is read and dropped after the response so that the connection can be kept;
/// beyond, the connection is closed (docs/interface.md 2.9).
inline constexpr std::size_t discard_body_bytes_max = 256 * KiB;
inline constexpr seconds discard_body_timeout{5};
/// A connection closed before all input was read lingers so that the client can read the response instead of a reset.
inline constexpr seconds linger_timeout{2};
inline constexpr std::size_t linger_bytes_max = block_size_bytes_max;
/// A session that never had to wait yields to others after this many bytes.
inline constexpr std::size_t bytes_per_turn_max = 512 * KiB;
/// When a reader has made one piece of a block wait this long, the memory of the rest is released until it can take
/// more: below 5 MB/s for a chunk. The tick is the resolution. Longer: slow readers hold more of the pool; shorter: a
/// scheduling delay of a reader makes the daemon read and verify bytes again.
inline constexpr milliseconds slow_reader_wait{50};
/// Open connections. 10,000 slow or idle clients fit in addition to the active ones; an idle one costs some KiB, a slow
/// reader some 30, so all of them stay below 512 MiB (docs/performance.md). Keepstore.MaxConnections.
inline constexpr std::int64_t connections_max = 12'288;
/// Connections may take three of four descriptors of the process (RLIMIT_NOFILE); the rest is for volumes and blocks
/// (readers of one block share a descriptor). Beyond, accepting waits.
inline constexpr std::size_t connections_of_four_descriptors = 3;
/// When descriptors do run out, this is logged at most this often, whatever the number of requests that fail.
inline constexpr seconds descriptor_warning_interval{60};
/// TCP keepalive probes find dead peers of idle connections (docs/interface.md 2.9).
inline constexpr minutes tcp_keepalive_period{3};
/// Bursts of new connections; the kernel caps it at net.core.somaxconn. Keepstore.ListenBacklog.
inline constexpr int listen_backlog = 1024;
/// While draining, a connection idle this long is closed; a busy one gets "Connection: close" with its next
/// response.
inline constexpr seconds drain_idle_grace{1};
/// After the drain's deadline: time for cancelled requests to unwind before their connections are cut.
inline constexpr seconds drain_cancel_grace{2};

// --- configuration ----------------------------------------------------------------------------------------------
/// A configuration file larger than this is refused unread: real ones are some tens of KiB.
inline constexpr std::size_t config_file_bytes_max = 16 * MiB;
/// Size of the file in memory with its aliases expanded, so that a few lines cannot exhaust the host.
inline constexpr std::size_t config_expanded_bytes_max = 128 * MiB;
/// Levels of nesting; Arvados uses nine. Keeps recursive walks of the tree off the end of the stack.
inline constexpr std::size_t config_depth_max = 64;
/// API.MaxKeepBlobBuffers: 64 MiB each, so this is 1 PiB; above it the product could overflow.
inline constexpr std::int64_t blob_buffers_max = std::int64_t{1} << 24;

// --- Directory volumes ------------------------------------------------------------------------------------------
/// Blocks up to this size stay in memory until commit, which then is a single call on one thread: for small blocks the
/// hand-overs between threads would cost more than the writes. One chunk, so that no writer holds more than it must.
inline constexpr std::size_t write_at_once_bytes_max = chunk_size_bytes;
/// From this size on, synced writes bypass the page cache (where the volume leaves it to us): a twentieth of the CPU
/// time and four times the speed for 64 MiB blocks (docs/performance.md).
inline constexpr std::size_t direct_io_bytes_min = 1 * MiB;
/// Buffer of one volume thread for direct reads of small blocks and of the ends of others.
inline constexpr std::size_t direct_read_bytes_max = 64 * KiB;
/// One write call takes at most this much; larger ones bring nothing more.
inline constexpr std::size_t write_batch_bytes_max = 4 * MiB;
/// A writing job gives its thread back after this much, so that many writers share few threads fairly.
inline constexpr std::size_t write_job_bytes_max = 8 * MiB;
/// Index, emptying of trash and the sweep of temp files run in steps of at most this long, so that they never count as
/// hung calls, and share the threads with requests.
inline constexpr milliseconds scan_step_time{200};
/// Blocks in one batch of an index: 128 KiB of memory, and thousands of hand-overs saved per million blocks.
inline constexpr std::size_t index_batch_blocks = 4096;
/// The first batches are smaller, so that the client gets its first bytes soon.
inline constexpr std::size_t index_first_batch_blocks = 256;
/// Directories read at a time by one index. Two keep both a disk and two cores busy (docs/performance.md).
inline constexpr unsigned index_workers = 2;
/// How often a directory is read again after NFS lost the position in it (ESTALE, EBADCOOKIE).
inline constexpr unsigned directory_read_attempts = 5;
/// How long the mark of a full volume is honoured (docs/interface.md 4.2: an hour, as the Go daemon does).
inline constexpr minutes full_mark_lifetime{60};
/// Another daemon's mark counts for this long; then the free space does. With full_mark_refresh below 5 s, within which
/// a volume must take blocks again after it got space.
inline constexpr seconds full_mark_honoured{3};
/// How often write requests check the mark and the free space.
inline constexpr seconds full_mark_refresh{1};
static_assert(full_mark_honoured + full_mark_refresh < seconds{5});
/// A left-over temp file of another program (the Go daemon) is removed when it is older than this; it takes no lock on
/// files being written, so only their age tells. Far above any request's duration.
inline constexpr minutes foreign_temp_age_min{24 * 60};

// --- requests (router) --------------------------------------------------------------------------------------------
/// The body of a pull or trash list. A balance tool sends at most 100,000 items of about 110 bytes
/// (docs/interface.md 5.4); six times that is still parsed, more is a mistake or an attack.
inline constexpr std::size_t work_list_bytes_max = 64 * MiB;
/// Items of such a list, and servers in all its items together: ten times what a balance tool sends. An item takes 100
/// bytes of memory and two of the text "{}", so bytes alone would be no limit.
inline constexpr std::size_t work_list_items_max = 1'000'000;
/// Nesting of its JSON: real items have three levels.
inline constexpr int work_list_depth_max = 16;
/// Servers of one item: a balance tool names one.
inline constexpr std::size_t pull_item_servers_max = 100;
/// Bytes of the body of an error response that go into the log (docs/interface.md 2.3).
inline constexpr std::size_t logged_body_bytes_max = 1024;

// --- HTTP client (net) --------------------------------------------------------------------------------------------
/// Connections to one server from one event loop. The AWS runtime opens 25 for 10 Gbit/s; requests hold theirs while a
/// slow reader takes the body, so there is room for more than the network needs.
inline constexpr unsigned net_connections_max = 64;
/// Requests waiting for a connection to one server on one event loop; beyond: `unavailable`, at once.
inline constexpr std::size_t net_waiters_max = 4096;
/// An unused connection is closed after this. Amazon S3 closes after about 5 s: sending on a connection that is just
/// being closed costs a retry, opening one costs a round trip or two.
inline constexpr seconds net_idle_limit{4};
/// Servers that announce their limit (Keep-Alive: timeout=N) are left this much earlier.
inline constexpr seconds net_idle_margin{1};
/// Default limits of the phases of a request; callers have their own from the configuration. Connect: three SYNs (after
/// 0, 1 and 3 s) and room for a slow handshake. First byte: S3 responds to 0.1 % of large uploads after 5 s. Progress:
/// what the AWS runtime takes for a dead connection.
inline constexpr seconds net_connect_timeout{10};
inline constexpr seconds net_first_byte_timeout{60};
inline constexpr seconds net_progress_timeout{30};
/// How long the body waits for "100 Continue" (RFC 9110 10.1.1 wants a bound; Go's client takes the same).
inline constexpr seconds net_continue_wait{1};
/// After this many uploads in a row for which a server sent no "100 Continue" in that time, and which it took
/// afterwards, it is not asked for one
/// ...
inline constexpr unsigned net_continue_silences = 2;
/// ... for this long: there may be a new version of it, or another proxy before it, by then.
inline constexpr minutes net_continue_unasked{5};
/// Period of the client's tick on a loop with requests under way: the resolution of all its limits.
inline constexpr milliseconds net_tick{50};
/// How often idle connections are looked at, for those that the server has closed.
inline constexpr seconds net_idle_check{1};
/// Response head: S3's are under 1 KiB; with user metadata (2 KiB at most) and policies of proxies still under 16.
inline constexpr std::size_t net_head_bytes_max = 64 * KiB;
inline constexpr std::size_t net_headers_max = 256;
/// Interim (1xx) responses to one request.
inline constexpr unsigned net_interim_responses_max = 16;
/// The unread rest of a response body is read if it has arrived already and is no more than this; else the connection
/// is closed, which is cheaper than to wait.
inline constexpr std::size_t net_drain_bytes_max = 64 * KiB;
/// A request that never had to wait yields to others of the loop after this many bytes.
inline constexpr std::size_t net_bytes_per_turn_max = 512 * KiB;
/// Addresses of a name are cached this long. Object stores rotate theirs within minutes; a failed connection drops them
/// at once.
inline constexpr seconds net_addresses_lifetime{30};
inline constexpr std::size_t net_addresses_kept_max = 256;
/// Addresses tried for one connection.
inline constexpr std::size_t net_addresses_tried_max = 8;
/// An address that has not taken the connection by then is raced by the next one, so that one dead address of several
/// costs this and not the whole connect limit. What RFC 8305 (section 5) recommends; a round trip around the world is
/// less.
inline constexpr milliseconds net_address_attempt_delay{250};
/// Lookups of different names under way, of one client. They end when the name service lets them, not when their last
/// waiter leaves.
inline constexpr std::size_t net_lookups_max = 64;
/// Upper bound of the redirects that a caller may allow: more is a loop.
inline constexpr unsigned net_redirects_max = 10;

// --- S3 protocol --------------------------------------------------------------------------------------------------
/// Attempts of one call, the first included. Four waits of at most 50, 100, 200 and 400 ms: in an outage a call fails
/// within a second, a failed node of a load balancer is not noticed.
inline constexpr unsigned s3_attempts_max = 5;
inline constexpr milliseconds s3_retry_transient_base{50};
/// After SlowDown: 0.25, 0.5, 1 and 2 s at most. S3 re-partitions in seconds.
inline constexpr milliseconds s3_retry_throttled_base{250};
/// Longest wait between two attempts, so that the end of an outage is noticed within 2 s.
inline constexpr milliseconds s3_retry_wait_max{2000};
/// The retry budget of a bucket, with AWS's figures: 500 tokens, a retry after a response costs 5, one after none 10, a
/// first success returns 1. When everything fails, some 50 retries are spent and then each call is one attempt.
inline constexpr int s3_retry_tokens_max = 500;
inline constexpr int s3_retry_cost_throttled = 5;
inline constexpr int s3_retry_cost_transient = 10;
inline constexpr int s3_retry_refund = 1;
/// Changes of region, clock or credentials within one call, each tried once at once.
inline constexpr unsigned s3_corrections_max = 3;
/// Defaults where the configuration says nothing (docs/interface.md 1.9).
inline constexpr seconds s3_connect_timeout{60};
inline constexpr seconds s3_read_timeout{600};
/// Keys in a page of a listing: the maximum of S3.
inline constexpr unsigned s3_list_keys_max = 1000;
/// An XML response. A page of 1,000 keys of 1 KiB is 1.5 MiB; services with larger pages exist.
inline constexpr std::size_t s3_xml_bytes_max = 16 * MiB;
/// Each time a download has received this much, its count of broken connections is reset: it may break any number of
/// times as long as it makes progress. A block is 256 of these.
inline constexpr std::size_t s3_resume_progress_bytes = chunk_size_bytes;
/// The body of an error, of which only code, region and request id matter.
inline constexpr std::size_t s3_error_bytes_max = 64 * KiB;
/// S3 refuses requests whose time is 15 minutes off; from 4 minutes on the service's clock is used.
inline constexpr minutes s3_clock_skew_tolerated{4};
/// For how long a bucket counts as existing after a response, when a 404 without a body leaves that open.
inline constexpr seconds s3_bucket_seen_for{10};
/// Error types that have a metric of their own; codes come from the service, so their number must be bounded.
inline constexpr std::size_t s3_error_types_max = 64;

// --- S3 credentials -----------------------------------------------------------------------------------------------
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
/// Requested lifetime of a session token of the instance metadata service: its maximum.
inline constexpr seconds metadata_token_lifetime{21600};
/// Responses of credential services, profile files, token files, and the output of a credential_process.
inline constexpr std::size_t credentials_bytes_max = 256 * KiB;
/// Length of a chain of source_profile entries.
inline constexpr unsigned credentials_profile_depth_max = 5;

// --- S3 volumes ---------------------------------------------------------------------------------------------------
/// Event loops of one volume: one thread moves some GB/s without TLS and about one with it.
inline constexpr unsigned s3_volume_loops_max = 4;
/// When a volume closes its cancelled tasks get this long. They end at once; this is for one that does not, which is a
/// bug.
inline constexpr seconds s3_stop_wait{3};
/// A call without a block's content (HEAD, marker, copy inside the bucket, delete), and the wait for the head of a GET.
/// S3 responds to 0.1 % of requests after 5 s; clients want their whole block within 20 s (docs/interface.md 7.2).
inline constexpr seconds s3_call_timeout{15};
/// Connections of one event loop of a volume. Slow readers keep theirs; a request that finds none fails after
/// s3_call_timeout. The unit allows 65,536 descriptors.
inline constexpr unsigned s3_volume_connections_max = 1024;
/// Memory of one volume for blocks that are being downloaded, shared by their readers: one whole block, so that a
/// reader that joins while a hot block is being read finds its beginning. When it is used up it is taken from downloads
/// that need it least; one that finds none left continues with one piece at a time beyond it.
inline constexpr std::size_t s3_fetch_memory_bytes = block_size_bytes_max;
/// How far a download runs ahead of its fastest reader, which hashes and sends up to 8 MiB at a time: the bytes that
/// arrive meanwhile.
inline constexpr std::size_t s3_read_ahead_bytes = 4 * MiB;
/// But no further than this at the expense of other downloads, or of its own slower readers.
inline constexpr std::size_t s3_read_ahead_bytes_min = 4 * chunk_size_bytes;
/// A gap of this size before the next wanted byte is read and dropped; a larger one is worth a request of its own.
inline constexpr std::size_t s3_skip_bytes_max = 1 * MiB;
/// The first ranged GET of a random read; each one that continues it is twice as large.
inline constexpr std::size_t s3_range_bytes_min = 1 * MiB;
/// Parts of uploads: the smallest that S3 takes.
inline constexpr std::size_t s3_part_bytes = 5 * MiB;
/// Uploads of unknown length at a time, with a part in memory each (40 MiB per volume). Keep clients announce the
/// length of what they send.
inline constexpr unsigned s3_unsized_uploads_max = 8;
/// Smaller blocks are uploaded and downloaded by one request in any case.
inline constexpr std::size_t s3_parallel_block_bytes_min = 16 * MiB;
/// Parts of larger ones that one volume has in memory to upload them concurrently (60 MiB), those that are being filled
/// included. Shared by all such blocks.
inline constexpr unsigned s3_parallel_part_buffers = 12;
/// Up to this many concurrent uploads of large blocks may use parts. More of them use the network fully with one
/// request each.
inline constexpr unsigned s3_parallel_uploads_max = 4;
/// Size of a range when a block is downloaded by concurrent ranges. It takes less than 0.1 s at the rate that Amazon
/// gives one connection.
inline constexpr std::size_t s3_parallel_range_bytes = 4 * MiB;
/// Such ranges that one volume has in memory in addition to s3_fetch_memory_bytes (64 MiB; those of readers that left
/// stay a moment longer). Shared by all such blocks.
inline constexpr unsigned s3_parallel_range_buffers = 16;
/// At most this many ranges are requested concurrently until the first two have arrived in order. Bounds the waste when
/// a reader disconnects early.
inline constexpr std::size_t s3_parallel_ranges_at_first = 4;
inline constexpr std::size_t s3_parallel_ranges_read_first = 2;
/// Up to this many concurrent downloads of large blocks may use ranges. More of them use the network fully.
inline constexpr unsigned s3_parallel_downloads_max = 8;
/// Total rate of the transfers under way, in bytes per second, above which parts are not tried. Amazon gives a
/// connection some 50 MB/s.
inline constexpr double s3_whole_rate_enough = 200e6;
/// Minimum speed-up of parts to be worth their requests, a copy of each byte, and, in an upload, its second MD5.
inline constexpr double s3_parallel_gain_min = 1.25;
/// After this time both ways are measured again.
inline constexpr minutes s3_pace_kept{10};
/// After a service refused parts they are not tried again for this long: each attempt costs a client a 503.
inline constexpr minutes s3_parts_refused_kept{24 * 60};
/// Multipart uploads under a block's name that are older than this were left by a killed daemon and are aborted, at the
/// start and whenever the trash is emptied. Far above any request's duration: never one that is under way somewhere.
inline constexpr minutes s3_orphan_upload_age{24 * 60};
inline constexpr seconds s3_abort_timeout{30};
/// A copy inside the bucket must have a time this close to ours, as the Go daemon demands.
inline constexpr minutes s3_copy_skew_max{10};
/// Listings of one index under way at a time: pairs of blocks and markers. Pages take 75 to 300 ms each at Amazon.
inline constexpr unsigned s3_index_workers = 8;
/// Pages that wait for a slow reader of the index.
inline constexpr std::size_t s3_index_pages_queued_max = 8;
/// Failures in a row, with no success between them, after which calls are refused until a probe succeeds.
inline constexpr unsigned s3_outage_failures = 3;
/// When calls wait and none has made progress for this long, a probe checks whether the service responds.
inline constexpr milliseconds s3_silence_max{1500};
/// Period and limit of quick probes. Together below 2 s, within which the end of an outage must be noticed.
inline constexpr milliseconds s3_probe_interval{400};
inline constexpr milliseconds s3_probe_timeout{1500};
/// Quick probes that must pass their limit in a row before that is an outage: with the silence before them 5 s without
/// any sign of life. One alone is a lost packet, or a server at work.
inline constexpr unsigned s3_probe_timeouts_min = 2;
/// Time limit of the slow probe, which runs concurrently and finds that a service is slow but not down. Name servers
/// are given 5 s each and there may be three; a listing of a bucket with many deletions, or of one that is being
/// recovered, takes as long.
inline constexpr seconds s3_patient_probe_timeout{30};
/// Interval of probes while the bucket or the keys are wrong: that does not change soon.
inline constexpr seconds s3_refused_probe_interval{5};
/// The probe command of an operator: a good bucket takes a second. And the time to remove its test objects after that
/// limit has passed.
inline constexpr seconds s3_probe_command_timeout{60};
inline constexpr seconds s3_probe_cleanup{5};
/// Waypoints of a 64 MiB block are 1.4 KiB in base64; S3 takes 2 KiB of user metadata.
inline constexpr std::size_t s3_metadata_bytes_max = 1900;

// --- scrub --------------------------------------------------------------------------------------------------------
/// Parts of a block that a scrub reads before it hashes them in parallel: the lanes of the widest engine.
inline constexpr std::size_t scrub_lanes = 16;
/// Blocks that are checked in this way at the same time: one is read while the other is hashed.
inline constexpr unsigned scrub_lane_checks = 2;
/// Memory of one volume's scrub, in addition to the budget, so that it never competes with requests.
inline constexpr std::size_t scrub_pool_bytes = 8 * MiB;
static_assert(scrub_lanes * scrub_lane_checks * chunk_size_bytes <= scrub_pool_bytes);
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
/// Keepstore.ScrubRate, bytes per second and volume: a third of what one spinning disk can read, so that requests find
/// it mostly free; 10 TB take less than two days.
inline constexpr std::size_t scrub_rate_default = 64 * MiB;
/// Burst that the rate allows after a pause.
inline constexpr milliseconds scrub_burst{100};
/// How often the position of a scrub is saved: bounds what is verified twice after a crash.
inline constexpr seconds scrub_save_interval{10};
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
/// Irreparable copies that are listed one by one; the rest is only counted.
inline constexpr std::size_t scrub_listed_max = 1000;

// --- pull lists and reads from other clusters -----------------------------------------------------------------------
/// Rounds in which all servers that may have a block are asked, as Keep clients do (docs/interface.md 7.2), and the
/// longest pause before the second round; doubled before the third. Clients themselves wait up to 2 s, but come in
/// thousands.
inline constexpr unsigned fetch_rounds_max = 3;
inline constexpr milliseconds fetch_pause{250};
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
/// Memory of each pull worker, in addition to the budget of requests: pieces being hashed and pieces being written.
inline constexpr std::size_t pull_memory_bytes = 4 * MiB;
inline constexpr std::size_t pull_queue_bytes = 1 * MiB;
static_assert(2 * pull_queue_bytes + 2 * chunk_size_bytes <= pull_memory_bytes);
/// The list of a remote cluster's keep services: kept this long, fetched again this long after a failure
/// (docs/interface.md 3.8).
inline constexpr minutes remote_services_lifetime{5};
inline constexpr seconds remote_services_retry_after{3};
/// An older list is served while a new one is fetched, up to this age; then readers wait for the new one. Services move
/// rarely, and a list of which no service can be reached is fetched again at once.
inline constexpr minutes remote_services_served_max = 4 * remote_services_lifetime;
/// Fetching it. The Go daemon lets its clients wait a minute; they give up after 20 s (docs/interface.md 7.2).
inline constexpr seconds remote_services_timeout{15};
inline constexpr std::size_t remote_services_bytes_max = 4 * MiB;
/// Services of one cluster that are asked for a block: hundreds exist nowhere.
inline constexpr std::size_t remote_services_max = 1000;

static_assert(slab_size_bytes % chunk_size_bytes == 0);
static_assert(block_size_bytes_max % chunk_size_bytes == 0);
static_assert(request_queue_bytes_max >= request_queue_bytes_min);
static_assert(request_queue_bytes_min >= chunk_size_bytes);

}  // namespace keepstore::limits
