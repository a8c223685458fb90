/// Reads, stores and trashes blocks on the mounts, independent of HTTP. Requests are typed structs, results are values
/// or errors of base/error.hpp; router/status.cpp maps them to HTTP.
///
/// Calls are coroutines awaited in place on the caller's executor; they never block it. A cancelled call
/// returns all it holds (chunks, temporary files, queue places), and errc::cancelled. Safe to use from any thread.
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

    /// Checks the locator's permission, finds the block and sends it, or a range of it. Each byte is proven before it
    /// is sent, if the copy has waypoints or can keep them; otherwise the last piece is withheld until the digest
    /// matches, so that wrong bytes are never sent as a complete block. A corrupt or unreadable copy is replaced by the
    /// next mount's, also in mid-stream if the bytes sent so far were right; when all are corrupt, by the good segments
    /// of all of them.
    /// \returns the block's size. errc::unauthorized, bad_request (signature), method_not_allowed (no size), not_found,
    /// range_not_satisfiable (after the permission and the block's presence were checked), checksum_mismatch,
    /// unavailable, timeout, cancelled, io_error.
    [[nodiscard]] awaitable<result<std::uint64_t>> block_read(const block_read_request&, byte_sink&);

    /// Stores the body of `source`. Success means durable on every volume that is counted. \returns also
    /// errc::bad_request (the digest differs from the name), too_large, collision, no_space, unavailable, timeout,
    /// cancelled.
    [[nodiscard]] awaitable<result<block_write_response>> block_write(const block_write_request&, byte_source&);

    /// Touches the copy on the first mount that has it.
    [[nodiscard]] awaitable<result<void>> block_touch(const md5_digest&, deadline until);
    /// Trashes the copies on all mounts that allow it; new copies are kept. \returns the first error that is not
    /// not_found.
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
    /// For the operations outside of this class: pulls, scrubs, remote reads.
    [[nodiscard]] store_context& context() noexcept { return context_; }

    [[nodiscard]] const store_counters& counters() const noexcept { return context_.counters; }
    /// Buffer memory that reads of large blocks hold now.
    [[nodiscard]] std::size_t read_window_bytes() const noexcept { return context_.read_window.held_bytes(); }

  private:
    store_context context_;
};

}  // namespace keepstore::store
