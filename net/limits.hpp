/// Limits of HTTP servers and clients, with their reasons; see base/limits.hpp.
#pragma once

#include "base/limits.hpp"
#include "base/units.hpp"

#include <chrono>
#include <cstddef>

namespace keepstore::limits {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// --- HTTP transport --------------------------------------------------------------------------------------------------
/// Request line and headers. Real clients send under 4 KiB; proxies in front stop at 8 to 32 KiB. Go allows 1 MiB,
/// which lets each silent connection hold as much for the length of the header timeout. Beyond: 431.
inline constexpr std::size_t request_head_bytes_max = 64 * KiB;
/// Memory that an idle connection keeps of its last request's head, and as much of its response's, for the next ones:
/// usual heads fit, so that a busy connection allocates nothing for them.
inline constexpr std::size_t idle_head_bytes_max = 2 * KiB;
/// After this many bytes of heads that do not fit the first input buffer, free memory is given back to the system, but
/// not more often than this: it takes milliseconds.
inline constexpr std::size_t trim_freed_bytes = 1 * MiB;
inline constexpr seconds trim_interval{1};
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
/// Open connections. 10,000 slow or idle clients fit in addition to the active ones; an idle one costs some KiB, a slow
/// reader some 30, so all of them stay below 512 MiB (docs/performance.md). Keepstore.MaxConnections.
inline constexpr std::int64_t connections_max = 12'288;
/// Connections may take three of four descriptors of the process (RLIMIT_NOFILE); the rest is for volumes and blocks
/// (readers of one block share a descriptor). Beyond, accepting waits.
inline constexpr std::size_t connections_of_four_descriptors = 3;
/// TCP keepalive probes find dead peers of idle connections (docs/interface.md 2.9).
inline constexpr minutes tcp_keepalive_period{3};
/// Bursts of new connections; the kernel caps it at net.core.somaxconn. Keepstore.ListenBacklog.
inline constexpr int listen_backlog = 1024;
/// While draining, connections are accepted until none has come for this long: several round trips in a data centre ...
inline constexpr milliseconds drain_quiet_time{100};
/// ... and for so long at most: a load balancer asks every second or two whether the service is ready
/// (conf/haproxy.cfg).
inline constexpr seconds drain_accept_time{3};
/// While draining, a connection idle this long is closed; a busy one gets "Connection: close" with its next
/// response.
inline constexpr seconds drain_idle_grace{1};
/// After the drain's deadline: time for cancelled requests to unwind before their connections are cut, and then for
/// these to close. A cancelled request ends at once; the process has to end within a second (daemon/limits.hpp).
inline constexpr milliseconds drain_cancel_grace{250};

// --- HTTP client (net) -----------------------------------------------------------------------------------------------
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

}  // namespace keepstore::limits
