/// The core of the daemon: what a request means, independent of HTTP. Requests are typed structs, results are values or
/// errors of base/error.hpp; router/status.cpp maps them to HTTP.
///
/// Calls are coroutines awaited in place on the caller's executor; they never block it. A cancelled call gives
/// everything back (chunks, temporary files, queue places) and returns errc::cancelled. Safe to use from any thread.
#pragma once

#include "base/async.hpp"
#include "base/byte_stream.hpp"
#include "base/deadline.hpp"
#include "digest/engine.hpp"
#include "pool/buffer_pool.hpp"
#include "store/context.hpp"
#include "store/mount.hpp"
#include "store/requests.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace keepstore::store {

class block_store {
  public:
    using options = store_options;

    block_store(options, mount_table, pool::buffer_pool&, digest::engine&);

    /// Checks the locator's permission, finds the block and sends it, or a range of it. Of a copy with waypoints
    /// nothing is sent that is not proven; of another one wrong bytes are never sent as a complete block: the last
    /// piece is withheld until the digest agrees. A copy that turns out bad or unreadable is replaced by the next
    /// mount's, in mid-stream where what was sent was right; when all are bad, by the good parts of all of them.
    /// \returns the block's size. errc::unauthorized, bad_request (signature), method_not_allowed (no size), not_found,
    /// range_not_satisfiable (after the permission and the block's presence were checked), checksum_mismatch,
    /// unavailable, timeout, cancelled, io_error.
    [[nodiscard]] awaitable<result<std::uint64_t>> block_read(const block_read_request&, byte_sink&);

    /// Stores what comes from the source. Success means durable on every volume that is counted.
    [[nodiscard]] awaitable<result<block_write_response>> block_write(const block_write_request&, byte_source&);

    /// The first mount that has it is touched.
    [[nodiscard]] awaitable<result<void>> block_touch(const md5_digest&, deadline until);
    /// Trashes the copies on all mounts that allow it; new copies are kept. The first error that is not not_found
    /// counts.
    [[nodiscard]] awaitable<result<void>> block_trash(const md5_digest&, deadline until);
    /// Brings the block back on every writable mount that has it in the trash.
    [[nodiscard]] awaitable<result<void>> block_untrash(const md5_digest&, deadline until);

    /// Receives index text, "hash+size mtime\n" lines in pieces (docs/interface.md 2.14).
    class index_writer {
      public:
        virtual ~index_writer() = default;
        [[nodiscard]] virtual awaitable<result<void>> write(std::string_view lines) = 0;
    };
    /// Lists one mount (`mount_uuid`) or all of them; the closing blank line is the caller's, after success only.
    [[nodiscard]] awaitable<result<void>> index(std::string mount_uuid, std::string prefix, index_writer&,
                                                deadline until);

    [[nodiscard]] const mount_table& mounts() const noexcept { return context_.mounts; }
    [[nodiscard]] const options& get_options() const noexcept { return context_.options; }
    /// What operations of other kinds (pulls, scrubs, remote reads) share with those of this class.
    [[nodiscard]] store_context& context() noexcept { return context_; }

    struct stats {
        std::uint64_t bad_copies_total;       ///< Stored copies found not to be what their name says.
        std::uint64_t repaired_copies_total;  ///< Of these, replaced by good data.
        std::uint64_t failovers_total;        ///< Reads that went on to another mount after a bad or failing copy.
        std::uint64_t stitched_reads_total;   ///< Reads put together from copies that are all damaged.
        std::uint64_t bad_segments_total;     ///< Times that wrong stored bytes were kept from a client.
        std::uint64_t false_alarms_total;     ///< Waypoints that disagreed with a good copy.
        std::uint64_t waypoints_added_total;  ///< Stored with copies that lacked them.
        std::size_t read_window_bytes;        ///< Held by reads now.
    };
    [[nodiscard]] stats snapshot() const noexcept;

  private:
    store_context context_;
};

}  // namespace keepstore::store
