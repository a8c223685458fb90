/// Every limit of the program, in one place, with its reason. Limits that operators may want to change have a
/// configuration key (named beside them); the others follow from the protocol or from the design.
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

// --- memory -----------------------------------------------------------------------------------------------------
/// Unit of the buffer pool. 256 KiB keeps 1,000 slow clients with a chunk each at 256 MiB, and is large enough that
/// system calls are noise (docs/performance.md). A multiple of every direct-I/O block size.
inline constexpr std::size_t chunk_size_bytes = 256 * KiB;
/// The pool grows by this much: one mapping of 64 chunks, touched as it is handed out and then kept.
inline constexpr std::size_t slab_size_bytes = 16 * MiB;
/// Memory outside the pool of at least this much (parts of blocks on their way to or from S3, long lists, answers) is
/// mapped and goes back to the system at once. Left alone, malloc raises its limit to the largest such piece that was
/// freed, and keeps some hundred MiB after the first busy minute.
inline constexpr std::size_t malloc_map_bytes_min = 1 * MiB;
/// What malloc may keep of smaller pieces, rather than give back and fetch the same pages again and again.
inline constexpr std::size_t malloc_keep_bytes = 8 * MiB;
/// Beside the budget, for repairs and for changing volumes in mid-stream: four chunks, since that is rare.
inline constexpr std::size_t copy_pool_bytes = 4 * chunk_size_bytes;
/// What one streaming request may have queued for each of its consumers (digest, every volume), when memory is plenty.
inline constexpr std::size_t request_queue_bytes_max = 2 * MiB;
/// The same for the digest of a PUT while memory is plenty: two of the bursts of 4 MiB in which S3 servers take a body.
inline constexpr std::size_t digest_lag_bytes_max = 8 * MiB;
/// Below this much free budget per waiting request a request works with one chunk at a time.
inline constexpr std::size_t request_queue_bytes_min = chunk_size_bytes;

/// What all GETs together hold of the pool for segments under way. It fills the lanes of two cores several times over,
/// and is what thousands of readers that come at once can take before it shows which of them are slow.
inline constexpr std::size_t read_window_bytes = 128 * MiB;
/// What one GET reads and verifies ahead. Of a block of 64 MiB 16 MiB, which take 4 ms until the first byte leaves: as
/// many lanes as the widest instruction set has.
inline constexpr std::size_t read_ahead_segments_max = 16;
/// The least: one that is sent, and one that is hashed meanwhile.
inline constexpr std::size_t read_ahead_segments_min = 2;
/// What one GET gathers of a stream from afar before it is hashed side by side: half of the widest lanes cost little
/// more a byte than all of them.
inline constexpr std::size_t stream_batch_segments_max = 8;
/// Beside the budget: for GETs that find no room there, 64 chunks that each is held for a moment only.
inline constexpr std::size_t scratch_pool_bytes = 64 * chunk_size_bytes;

// --- core -------------------------------------------------------------------------------------------------------
/// Bad copies that were logged already and are not logged again; beyond this the memory starts afresh.
inline constexpr std::size_t bad_copies_remembered_max = 10'000;
/// When all copies of a block are damaged: so many different waypoints are tried. Those that are true are the same
/// everywhere; others have been forged, or are of software that erred.
inline constexpr std::size_t patchwork_points_max = 4;
/// Segments that are looked at side by side then, of up to 1 MiB: some lanes, and a quarter of the scratch pool.
inline constexpr std::size_t patchwork_units = 4;
static_assert(patchwork_units * MiB <= scratch_pool_bytes / 4);
/// One item of a trash list on one mount; then the worker goes on with the next.
inline constexpr minutes trash_item_timeout{1};
/// The trash is emptied this soon after a start (or after the interval if that is shorter), so that a daemon that is
/// restarted daily empties it at all.
inline constexpr minutes empty_trash_first_after{5};

// --- blocking work ----------------------------------------------------------------------------------------------
/// Threads per volume for calls that may block. Group commit of fsyncs needs about as many as there are writers
/// (16 connections: docs/performance.md); a hung disk can tie up no more than these.
inline constexpr unsigned volume_threads_max = 24;
/// Calls waiting for a volume thread before the volume answers `unavailable`.
inline constexpr std::size_t volume_queue_max = 16384;
/// One file system call that has not come back after this long counts as hung, whatever the request's own deadline:
/// the request goes on to another volume. Well under the 20 s in which a Go client wants its whole block
/// (docs/interface.md 7.2).
inline constexpr seconds volume_call_timeout{10};

// --- digest engine ----------------------------------------------------------------------------------------------
/// Up to this size a piece of an idle stream is hashed on the calling thread: about 25 microseconds, which is what
/// waking another thread and coming back costs.
inline constexpr std::size_t digest_inline_bytes_max = 16 * KiB;
/// Bytes per lane of one pass. A newcomer waits for one pass at most: 16 lanes of 64 KiB take 125 microseconds, and
/// 64 KiB x 16 stay in an L2 cache.
inline constexpr std::size_t digest_pass_bytes = 64 * KiB;
/// What a stream may hash in one go while others wait for a lane. One chunk: bookkeeping is noise, and with 64 busy
/// streams on 32 lanes each has its turn within a millisecond or two.
inline constexpr std::size_t digest_turn_bytes = chunk_size_bytes;

// --- HTTP transport ---------------------------------------------------------------------------------------------
/// Request line and headers. Real clients send under 4 KiB; proxies in front stop at 8 to 32 KiB. Go allows 1 MiB,
/// which lets each silent connection hold as much for the length of the header timeout. Beyond: 431.
inline constexpr std::size_t request_head_bytes_max = 64 * KiB;
/// Header lines of one request, so that a head of tiny lines does not become megabytes of strings.
inline constexpr std::size_t request_headers_max = 256;
/// First read of a request: most heads, and most small blocks sent with them, fit.
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
/// A request counts as stalled, and its place goes to others, when it has waited for its client this much longer than a
/// client of stall_rate_bytes per second would have made it wait. At that rate 64 places are still 256 MiB/s; a slower
/// client costs the daemon a hundredth of a core, and nothing is gained by counting it among those that do. Longer:
/// more clients that send or take bursts count at a time; shorter: one lost packet makes a client stalled.
inline constexpr milliseconds stall_threshold{250};
inline constexpr std::size_t stall_rate_bytes = 4 * MiB;
/// How much of such waiting is remembered. A stalled client has to make up for it before it counts again, 4 MiB of one
/// burst: a client that takes 64 KiB/s, however unevenly, then counts for 0.4% of its time at most, 10,000 of them for
/// 40 of the 64 places that MaxConcurrentRequests gives by default.
inline constexpr milliseconds stall_memory{1000};
static_assert(stall_memory > stall_threshold);
/// What the kernel keeps of a response beyond what is under way (TCP_NOTSENT_LOWAT; it ends at net.ipv4.tcp_wmem, 4
/// MiB): of a reader that has not shown yet how fast it is; one that takes keeps_up_bytes without stalling is not
/// limited. Half a chunk: less makes more system calls; this costs 3 to 7% of CPU time with one connection, which is as
/// much as runs differ, and nothing with 16 (scripts/bench get64).
inline constexpr std::size_t unsent_bytes_first = 128 * KiB;
inline constexpr std::size_t keeps_up_bytes = 1 * MiB;
/// Of a stalled reader: what it takes in this time, within these bounds. The socket asks for more when half of that is
/// left, so a slow reader's waits are longer than slow_reader_patience, and it counts as slow for the core, too. At
/// least one piece that is verified for such a reader: each time that the socket takes a part of one, all of it is read
/// and hashed again. For 10,000 very slow readers this is some 500 MiB, below what makes the kernel frugal on a host of
/// 16 GiB (net.ipv4.tcp_mem).
inline constexpr milliseconds unsent_time{200};
inline constexpr std::size_t unsent_bytes_min = 64 * KiB;
inline constexpr std::size_t unsent_bytes_max = 512 * KiB;
/// Period of each loop's tick: the resolution of all limits above and of request deadlines.
inline constexpr milliseconds transport_tick{100};
/// After a cancellation the handler may still answer; the answer must be taken within this.
inline constexpr seconds last_words_timeout{5};
/// An unread request body up to this is read and dropped after the response so that the connection can be kept;
/// beyond, the connection is closed (docs/interface.md 2.9).
inline constexpr std::size_t discard_body_bytes_max = 256 * KiB;
inline constexpr seconds discard_body_timeout{5};
/// A connection closed before all input was read lingers so that the client can read the answer instead of a reset.
inline constexpr seconds linger_timeout{2};
inline constexpr std::size_t linger_bytes_max = block_size_bytes_max;
/// A session that never had to wait gives way to others after this many bytes.
inline constexpr std::size_t bytes_per_turn_max = 512 * KiB;
/// A reader that has made one piece of a block wait this long has the memory of the rest taken away until it can take
/// more: below 5 MB/s for a chunk. The tick is the resolution. Longer: slow readers hold more of the pool; shorter: a
/// reader's scheduling hiccup makes the daemon fetch and check bytes again.
inline constexpr milliseconds slow_reader_patience{50};
/// Open connections. 10,000 slow or idle clients fit, beside those that do the work; an idle one costs some KiB, a slow
/// reader some 30, so all of them stay below 512 MiB (docs/performance.md). Keepstore.MaxConnections.
inline constexpr std::int64_t connections_max = 12'288;
/// Of the process's descriptors (RLIMIT_NOFILE) connections may take three of four; the rest is for blocks, of which
/// readers of the same one share one, and for volumes. Beyond, accepting waits.
inline constexpr std::size_t connections_of_four_descriptors = 3;
/// When descriptors do run out, the log says so this often, whatever the number of requests that suffer.
inline constexpr seconds descriptor_warning_interval{60};
/// TCP keepalive probes find dead peers of idle connections (docs/interface.md 2.9).
inline constexpr minutes tcp_keepalive_period{3};
/// Bursts of new connections; the kernel caps it at net.core.somaxconn. Keepstore.ListenBacklog.
inline constexpr int listen_backlog = 1024;
/// While draining, a connection idle this long is closed; a client at work gets "Connection: close" with its next
/// answer.
inline constexpr seconds drain_idle_grace{1};
/// After the drain's deadline: time for cancelled requests to unwind before their connections are cut.
inline constexpr seconds drain_cancel_grace{2};

// --- configuration ----------------------------------------------------------------------------------------------
/// A configuration file larger than this is refused unread: real ones are some tens of KiB.
inline constexpr std::size_t config_file_bytes_max = 16 * MiB;
/// What the file may grow to in memory when its aliases are expanded, so that a few lines cannot eat the host.
inline constexpr std::size_t config_expanded_bytes_max = 128 * MiB;
/// Levels of nesting; Arvados uses nine. Keeps recursive walks of the tree off the end of the stack.
inline constexpr std::size_t config_depth_max = 64;
/// API.MaxKeepBlobBuffers: 64 MiB each, so this is 1 PiB; above it the product could overflow.
inline constexpr std::int64_t blob_buffers_max = std::int64_t{1} << 24;

// --- Directory volumes ------------------------------------------------------------------------------------------
/// How often a volume asks whether all its threads hang, to refuse calls at once; that of the pool's own scan.
inline constexpr milliseconds hang_check_interval{100};
/// Blocks up to this size stay in memory until commit, which then is a single call on one thread: for small blocks the
/// hand-overs between threads would cost more than the writes. One chunk, so that no writer holds more than it must.
inline constexpr std::size_t write_at_once_bytes_max = chunk_size_bytes;
/// From this size on, synced writes bypass the page cache (where the volume leaves it to us): a twentieth of the CPU
/// time and four times the speed for 64 MiB blocks (docs/performance.md).
inline constexpr std::size_t direct_io_bytes_min = 1 * MiB;
/// One write call takes at most this much; larger ones bring nothing more.
inline constexpr std::size_t write_batch_bytes_max = 4 * MiB;
/// A writing job gives its thread back after this much, so that many writers share few threads fairly.
inline constexpr std::size_t write_job_bytes_max = 8 * MiB;
/// Index, emptying of trash and the sweep of temp files run in steps of at most this long, so that they never look like
/// hung calls and share the threads with requests.
inline constexpr milliseconds scan_step_time{200};
/// Blocks in one batch of an index: 128 KiB of memory, and thousands of hand-overs saved per million blocks.
inline constexpr std::size_t index_batch_blocks = 4096;
/// The first batches are smaller, so that the client hears something soon.
inline constexpr std::size_t index_first_batch_blocks = 256;
/// Directories read at a time by one index. Two keep both a disk and two cores busy (docs/performance.md).
inline constexpr unsigned index_workers = 2;
/// How often a directory is read anew after NFS lost the place in it (ESTALE, EBADCOOKIE).
inline constexpr unsigned directory_read_attempts = 5;
/// How long the mark of a full volume is believed (docs/interface.md 4.2: an hour, as the Go daemon does).
inline constexpr minutes full_mark_lifetime{60};
/// Another daemon's mark counts for this long; then the free space does. With full_mark_refresh below 5 s, within which
/// a volume must take blocks again after it got space.
inline constexpr seconds full_mark_honoured{3};
/// How often a write request looks at the mark and the free space.
inline constexpr seconds full_mark_refresh{1};
static_assert(full_mark_honoured + full_mark_refresh < seconds{5});
/// A left-over temp file of another program (the Go daemon) is removed when it is older than this; it takes no lock on
/// files being written, so only age tells. Far above any request's duration.
inline constexpr minutes foreign_temp_age_min{24 * 60};

// --- requests (router) --------------------------------------------------------------------------------------------
/// The body of a pull or trash list. A balance tool sends at most 100,000 items of about 110 bytes
/// (docs/interface.md 5.4); six times that is still parsed, more is a mistake or an attack.
inline constexpr std::size_t work_list_bytes_max = 64 * MiB;
/// Items of such a list, and servers in all its items together: ten times what a balance tool sends. An item takes 100
/// bytes of memory and two of the text "{}", so bytes alone would be no limit.
inline constexpr std::size_t work_list_items_max = 1'000'000;
/// Servers of one item: a balance tool names one.
inline constexpr std::size_t pull_item_servers_max = 100;
/// How much of the body of an error answer goes into the log (docs/interface.md 2.3).
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
/// 0, 1 and 3 s) and room for a slow handshake. First byte: S3 answers 0.1 % of large uploads after 5 s. Progress: what
/// the AWS runtime takes for a dead connection.
inline constexpr seconds net_connect_timeout{10};
inline constexpr seconds net_first_byte_timeout{60};
inline constexpr seconds net_progress_timeout{30};
/// How long the body waits for "100 Continue" (RFC 9110 10.1.1 wants a bound; Go's client takes the same).
inline constexpr seconds net_continue_wait{1};
/// A server that let this many uploads in a row wait in vain, and took each of them afterwards, is not asked any more
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
/// First read of a response: head and a small body together.
inline constexpr std::size_t net_input_bytes = 16 * KiB;
/// The rest of a body that nobody wants is read if it is here already and no more than this; else the connection is
/// closed, which is cheaper than to wait.
inline constexpr std::size_t net_drain_bytes_max = 64 * KiB;
/// An exchange that never had to wait gives way to others of the loop after this many bytes.
inline constexpr std::size_t net_bytes_per_turn_max = 512 * KiB;
/// Addresses of a name are believed this long. Object stores rotate theirs within minutes; a failed connection forgets
/// them at once.
inline constexpr seconds net_addresses_lifetime{30};
inline constexpr std::size_t net_addresses_kept_max = 256;
/// Addresses tried for one connection.
inline constexpr std::size_t net_addresses_tried_max = 8;
/// An address that has not taken the connection by then is raced by the next one, so that one dead address of several
/// costs this and not the whole connect limit. What RFC 8305 (section 5) recommends; a round trip around the world is
/// less.
inline constexpr milliseconds net_address_patience{250};
/// Lookups of different names under way, of one client. They end when the name service lets them, not when nobody waits
/// any more.
inline constexpr std::size_t net_lookups_max = 64;
/// Requests that may ask for more redirects get these: more is a loop.
inline constexpr unsigned net_redirects_max = 10;

// --- S3 protocol --------------------------------------------------------------------------------------------------
/// Attempts of one call, the first included. Four waits of at most 50, 100, 200 and 400 ms: an outage is answered
/// within a second, a failed node behind a load balancer is not noticed.
inline constexpr unsigned s3_attempts_max = 5;
inline constexpr milliseconds s3_retry_transient_base{50};
/// After SlowDown: 0.25, 0.5, 1 and 2 s at most. S3 re-partitions in seconds.
inline constexpr milliseconds s3_retry_throttled_base{250};
/// Longest wait between two attempts, so that the end of an outage is noticed within 2 s.
inline constexpr milliseconds s3_retry_wait_max{2000};
/// The retry budget of a bucket, with AWS's figures: 500 tokens, a retry after an answer costs 5, one after none 10, a
/// first success gives 1 back. When everything fails, some 50 retries are spent and then each call is one attempt.
inline constexpr int s3_retry_tokens_max = 500;
inline constexpr int s3_retry_cost_throttled = 5;
inline constexpr int s3_retry_cost_transient = 10;
inline constexpr int s3_retry_refund = 1;
/// Changes of region, clock or credentials within one call, each tried once at once.
inline constexpr unsigned s3_corrections_max = 3;
/// Defaults where the configuration says nothing (docs/interface.md 1.9).
inline constexpr seconds s3_connect_timeout{60};
inline constexpr seconds s3_read_timeout{600};
/// Keys in a page: what S3 gives at most.
inline constexpr unsigned s3_list_keys_max = 1000;
/// An XML answer. A page of 1,000 keys of 1 KiB is 1.5 MiB; services with larger pages exist.
inline constexpr std::size_t s3_xml_bytes_max = 16 * MiB;
/// Each time a download has brought this much its broken connections are forgotten: it may be broken off as often as it
/// likes, as long as it comes forward. A block is 256 of these.
inline constexpr std::size_t s3_resume_progress_bytes = chunk_size_bytes;
/// The body of an error, of which only code, region and request id matter.
inline constexpr std::size_t s3_error_bytes_max = 64 * KiB;
/// S3 refuses requests that are 15 minutes off; from 4 minutes on the service's clock is followed.
inline constexpr minutes s3_clock_skew_tolerated{4};
/// For how long a bucket that answered counts as existing, when a 404 without a body leaves that open.
inline constexpr seconds s3_bucket_seen_for{10};
/// Error types told apart in metrics; codes come from the service and could be anything.
inline constexpr std::size_t s3_error_types_max = 64;

// --- S3 credentials -----------------------------------------------------------------------------------------------
/// Temporary keys are renewed this early, as the Go daemon does. The old ones serve meanwhile.
inline constexpr minutes credentials_renewal_window{5};
/// After a failed fetch, or one that brought nothing new, the next one is not before this; nor is one because keys grow
/// old, or are rejected once more, after one that brought some: a wrong clock must not cost a fetch for each request.
inline constexpr seconds credentials_retry_interval{5};
/// One fetch, all requests and retries included, whoever waits for it for how long.
inline constexpr seconds credentials_fetch_timeout{15};
/// For the end of a fetch that was cancelled because the volume closes. It ends at once, unless a name server is
/// silent.
inline constexpr seconds credentials_stop_wait{2};
/// Instance metadata is on the same host: it answers at once or not at all.
inline constexpr seconds metadata_connect_timeout{2};
inline constexpr seconds metadata_answer_timeout{5};
/// Lifetime asked for a session token of the instance metadata service: its maximum.
inline constexpr seconds metadata_token_lifetime{21600};
/// Answers of credential services, profile files, token files, and the output of a credential_process.
inline constexpr std::size_t credentials_bytes_max = 256 * KiB;
/// source_profile after source_profile.
inline constexpr unsigned credentials_profile_depth_max = 5;

// --- S3 volumes ---------------------------------------------------------------------------------------------------
/// Event loops of one volume: one thread moves some GB/s without TLS and about one with it.
inline constexpr unsigned s3_volume_loops_max = 4;
/// A call without a block's content (HEAD, marker, copy inside the bucket, delete), and the wait for the head of a GET.
/// S3 answers 0.1 % of requests after 5 s; clients want their whole block within 20 s (docs/interface.md 7.2).
inline constexpr seconds s3_call_timeout{15};
/// Connections of one event loop of a volume. Readers who are slow keep theirs; a request that finds none fails after
/// s3_call_timeout. The unit allows 65,536 descriptors.
inline constexpr unsigned s3_volume_connections_max = 1024;
/// Memory of one volume for blocks that are being fetched, shared by all who read them: one whole block, so that who
/// comes while a hot block is being read always finds its beginning. It is used up first and then taken from whom it
/// helps least; a fetch that finds none left goes on with one piece at a time beyond it.
inline constexpr std::size_t s3_fetch_memory_bytes = block_size_bytes_max;
/// How far a fetch runs ahead of its fastest reader, who hashes and sends up to 8 MiB at a time: what comes meanwhile.
inline constexpr std::size_t s3_read_ahead_bytes = 4 * MiB;
/// But no further than this at the expense of others, or of its own slower readers.
inline constexpr std::size_t s3_read_ahead_bytes_min = 4 * chunk_size_bytes;
/// A gap of this size before the next wanted byte is read and dropped; a larger one is worth a request of its own.
inline constexpr std::size_t s3_skip_bytes_max = 1 * MiB;
/// The first ranged GET of a reader that jumps; each one that follows on is twice as large.
inline constexpr std::size_t s3_range_bytes_min = 1 * MiB;
/// Parts of uploads: the smallest that S3 takes.
inline constexpr std::size_t s3_part_bytes = 5 * MiB;
/// Uploads of unknown length at a time, with a part in memory each (40 MiB per volume). Keep clients announce the
/// length of what they send.
inline constexpr unsigned s3_unsized_uploads_max = 8;
/// Blocks of less go to S3, and come from it, by one request in any case.
inline constexpr std::size_t s3_parallel_block_bytes_min = 16 * MiB;
/// Parts of larger ones that one volume has in memory to send them side by side (60 MiB), those that are being filled
/// included. Shared by all such blocks.
inline constexpr unsigned s3_parallel_part_buffers = 12;
/// While no more large blocks than these are on their way to S3 they may go in parts. More fill the line with a request
/// each.
inline constexpr unsigned s3_parallel_uploads_max = 4;
/// Ranges of a block that are fetched side by side. A part takes less than 0.1 s at what Amazon gives a connection.
inline constexpr std::size_t s3_parallel_range_bytes = 4 * MiB;
/// Such ranges that one volume has in memory beside s3_fetch_memory_bytes (64 MiB; those of readers who left are a
/// moment longer there). Shared by all such blocks.
inline constexpr unsigned s3_parallel_range_buffers = 16;
/// No more than so many are asked for beside the first one, before so many have been received in order: more than what
/// is read ahead of somebody who leaves after the first bytes.
inline constexpr std::size_t s3_parallel_ranges_at_first = 4;
inline constexpr std::size_t s3_parallel_ranges_read_first = 2;
/// While no more large blocks than these are on their way from S3 they may come in ranges. More fill the line.
inline constexpr unsigned s3_parallel_downloads_max = 8;
/// Bytes per second of all that are on their way above which parts are not even tried. Amazon gives a connection some
/// 50 MB/s.
inline constexpr double s3_whole_rate_enough = 200e6;
/// Parts must be so much faster to be worth their requests, a copy of each byte, and, when sent, its second MD5.
inline constexpr double s3_parallel_gain_min = 1.25;
/// Then both ways are measured again.
inline constexpr minutes s3_pace_kept{10};
/// A service that refuses parts is not asked for them again for so long: each time costs a client a 503.
inline constexpr minutes s3_parts_refused_kept{24 * 60};
/// Multipart uploads under a block's name that are older than this were left by a killed daemon and are aborted, at the
/// start and whenever the trash is emptied. Far above any request's duration: never one that is under way somewhere.
inline constexpr minutes s3_orphan_upload_age{24 * 60};
inline constexpr seconds s3_abort_timeout{30};
/// A copy inside the bucket must come out with a time this close to ours, as the Go daemon demands.
inline constexpr minutes s3_copy_skew_max{10};
/// Listings of one index under way at a time: pairs of blocks and markers. Pages take 75 to 300 ms each at Amazon.
inline constexpr unsigned s3_index_workers = 8;
/// Pages that wait for a slow reader of the index.
inline constexpr std::size_t s3_index_pages_queued_max = 8;
/// Failures in a row, with no success between them, after which calls are refused until a probe succeeds.
inline constexpr unsigned s3_outage_failures = 3;
/// While calls wait and none of them has come forward for this long, a probe asks whether the service is there.
inline constexpr milliseconds s3_silence_max{1500};
/// Period and limit of quick probes. Together below 2 s, within which the end of an outage must be noticed.
inline constexpr milliseconds s3_probe_interval{400};
inline constexpr milliseconds s3_probe_timeout{1500};
/// Quick probes that must pass their limit in a row before that is an outage: with the silence before them 5 s without
/// any sign of life. One alone is a lost packet, or a server at work.
inline constexpr unsigned s3_probe_timeouts_min = 2;
/// The limit of the patient probe beside them, which finds that a service is slow and not dead. Name servers are given
/// 5 s each and there may be three; a listing of a bucket with many deletions, or of one that is being recovered, takes
/// as long.
inline constexpr seconds s3_patient_probe_timeout{30};
/// Where the bucket or the keys are wrong nothing changes soon.
inline constexpr seconds s3_refused_probe_interval{5};
/// The probe of an operator (probe-s3): a good bucket takes a second. And what its test objects may take to be removed
/// when time is over.
inline constexpr seconds s3_probe_command_timeout{60};
inline constexpr seconds s3_probe_cleanup{5};
/// Waypoints of a 64 MiB block are 1.4 KiB in base64; S3 takes 2 KiB of user metadata.
inline constexpr std::size_t s3_metadata_bytes_max = 1900;
// --- scrub --------------------------------------------------------------------------------------------------------
/// Parts of a block that a scrub reads before it hashes them side by side: the lanes of the widest engine.
inline constexpr std::size_t scrub_lanes = 16;
/// Blocks that are checked in this way at the same time: one is read while the other is hashed.
inline constexpr unsigned scrub_lane_checks = 2;
/// Memory of one volume's scrub, beside the budget, so that it never takes from requests.
inline constexpr std::size_t scrub_pool_bytes = 8 * MiB;
static_assert(scrub_lanes * scrub_lane_checks * chunk_size_bytes <= scrub_pool_bytes);
/// Small blocks that a scrub reads before it hashes them side by side, if they fit scrub_lanes chunks: enough for the
/// lanes of two workers several times over, so that few are empty at the end.
inline constexpr std::size_t scrub_batch_blocks = 256;
/// Of these, what one call reads, one after the other: enough that the trip to a thread and back is noise, little
/// enough that a spinning disk gives it in a fifth of a second.
inline constexpr std::size_t scrub_call_blocks = 16;
inline constexpr std::size_t scrub_call_bytes = 2 * chunk_size_bytes;
/// Batches that are listed before they are checked, so that the listing goes on while others are read.
inline constexpr std::size_t scrub_batches_listed_max = 3;
/// Threads of a volume that its scrub uses at most: a third. Eight reads in flight keep a solid-state disk busy.
inline constexpr unsigned scrub_reads_max = 8;
static_assert(scrub_reads_max * 3 <= volume_threads_max);
/// Blocks without waypoints that are checked side by side: each has one lane, and one read in flight.
inline constexpr unsigned scrub_blocks_max = scrub_reads_max;
/// Steps of a pass, after each of which it can go on later: the folders of a Directory volume.
inline constexpr unsigned scrub_steps = 4096;
/// Keepstore.ScrubRate, bytes per second and volume: a third of what one spinning disk can read, so that requests find
/// it mostly free; 10 TB take less than two days.
inline constexpr std::size_t scrub_rate_default = 64 * MiB;
/// What the rate allows at once after a pause.
inline constexpr milliseconds scrub_burst{100};
/// How often the place where a scrub is, is saved: what is checked twice after a crash.
inline constexpr seconds scrub_save_interval{10};
/// At the end of the process saving must not hold it up.
inline constexpr seconds scrub_last_save_timeout{2};
/// A pass that is due at the start, or was cut short by the last stop, begins this much later.
inline constexpr seconds scrub_start_delay{5};
/// A pass that failed goes on after this (or after ScrubInterval if that is shorter).
inline constexpr minutes scrub_retry_after{60};
/// Attempts at a block or a listing while the volume does not answer, with pauses that begin at scrub_pause_min and
/// double; then the pass ends. Half a minute in all, beside the calls' own limit.
inline constexpr unsigned scrub_attempts_max = 6;
inline constexpr milliseconds scrub_pause_min{1000};
/// So many unreadable copies in a row mean that the volume is broken, not its copies: the pass ends.
inline constexpr unsigned scrub_unreadable_in_a_row_max = 32;
/// A copy that keeps being replaced while it is looked at is left to the next pass.
inline constexpr unsigned scrub_changes_max = 3;
/// One repair, with reading the good copy at the scrub's rate.
inline constexpr minutes scrub_repair_timeout{10};
/// Irreparable copies that are listed one by one; the rest is only counted.
inline constexpr std::size_t scrub_listed_max = 1000;

// --- pull lists and reads from other clusters -----------------------------------------------------------------------
/// How often all servers that may have a block are asked, as Keep clients do (docs/interface.md 7.2), and the pause
/// before the second time, at most; doubled before the third. Clients themselves wait up to 2 s, but come in thousands.
inline constexpr unsigned fetch_rounds_max = 3;
inline constexpr milliseconds fetch_pause{250};
/// A block from one server. Keepstores end a request after five minutes (API.RequestTimeout) themselves.
inline constexpr minutes pull_attempt_timeout{5};
/// Servers are asked again for an item only within this: the next balance run lists it anew.
inline constexpr minutes pull_item_timeout{15};
/// A server that sends nothing for so long is left for the next one. A keepstore that hashes 64 MiB from a cold disk
/// before its first byte needs two or three seconds.
inline constexpr seconds pull_silence_max{20};
/// A server that sends slower than this, averaged over such a window of waiting for it, is left, too: dripping bytes,
/// it would hold a worker for pull_attempt_timeout. 64 MiB at this rate would not come within that time anyway; four
/// times what clients must reach (transfer_rate_bytes_min), since servers are near and well connected.
inline constexpr std::size_t pull_rate_bytes_min = 64 * KiB;
inline constexpr seconds pull_rate_window{20};
/// Memory of each pull worker, beside the budget of requests: what is being hashed and what is being written.
inline constexpr std::size_t pull_memory_bytes = 4 * MiB;
inline constexpr std::size_t pull_queue_bytes = 1 * MiB;
static_assert(2 * pull_queue_bytes + 2 * chunk_size_bytes <= pull_memory_bytes);
/// The list of a remote cluster's keep services: kept this long, fetched again this long after a failure
/// (docs/interface.md 3.8).
inline constexpr minutes remote_services_lifetime{5};
inline constexpr seconds remote_services_retry_after{3};
/// An older list is served while a new one is fetched, up to this age; then readers wait for the new one. Services move
/// rarely, and a list of which no service can be reached is fetched anew at once.
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
