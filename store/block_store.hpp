/// The core of the daemon: what a request means, independent of HTTP. Requests are typed structs, results are values or
/// errors of base/error.hpp; router/status.cpp maps them to HTTP.
///
/// Calls are coroutines awaited in place on the caller's executor; they never block it. A cancelled call gives
/// everything back (chunks, temporary files, queue places) and returns errc::cancelled. Safe to use from any thread.
#pragma once

#include "base/async.hpp"
#include "base/byte_range.hpp"
#include "base/byte_stream.hpp"
#include "base/deadline.hpp"
#include "base/limits.hpp"
#include "digest/engine.hpp"
#include "pool/buffer_pool.hpp"
#include "protocol/locator.hpp"
#include "protocol/signature.hpp"
#include "store/bad_copy_log.hpp"
#include "store/mount.hpp"
#include "store/read/read_window.hpp"
#include "store/read/verified_copy.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::store {

struct block_read_request {
    protocol::locator block;
    std::string
        token;  ///< The first token of the request (docs/interface.md 2.5), verbatim; empty string counts as none.
    bool has_token = false;
    deadline until;
    /// HEAD: verify, but send nothing (begin() is called, write() is not).
    bool head = false;
    /// Send only this. Resolved against the block's size once it is known.
    std::optional<byte_range_spec> range = {};
};

struct block_write_request {
    md5_digest hash;
    std::string path_text;                     ///< What the client called it, for the error text.
    std::vector<std::string> storage_classes;  ///< As asked for; empty: any volume will do. Duplicates collapse.
    std::string token;
    deadline until;
};

struct block_write_response {
    std::string locator;  ///< `hash+size`, signed for the token when there is a key.
    int replicas = 0;     ///< Sum of the replication of the volumes used.
    std::map<std::string, int>
        storage_classes;  ///< All classes of the volumes used, with replicas (docs/interface.md 2.12, 8.2).
};

class block_store {
  public:
    struct options {
        bool blob_signing = true;
        std::string blob_signing_key;
        std::chrono::nanoseconds blob_signing_ttl{};
        bool blob_trash = true;
        std::chrono::nanoseconds blob_trash_lifetime{};
    };

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

    [[nodiscard]] const mount_table& mounts() const noexcept { return mounts_; }
    [[nodiscard]] const options& get_options() const noexcept { return options_; }

    struct stats {
        std::uint64_t bad_copies_total;       ///< Stored copies found not to be what their name says.
        std::uint64_t repaired_copies_total;  ///< Of these, replaced by good data.
        std::uint64_t failovers_total;        ///< Reads that went on to another mount after a bad or failing copy.
        std::uint64_t patchworks_total;       ///< Reads put together from copies that are all damaged.
        std::uint64_t bad_segments_total;     ///< Times that wrong stored bytes were kept from a client.
        std::uint64_t false_alarms_total;     ///< Waypoints that disagreed with a good copy.
        std::uint64_t waypoints_added_total;  ///< Stored with copies that lacked them.
        std::size_t read_window_bytes;        ///< Held by reads now.
    };
    [[nodiscard]] stats snapshot() const noexcept;

  private:
    friend class pull_worker;
    friend class read_operation;
    friend class remote_read_operation;
    friend class scrub_pass;
    friend class write_operation;

    /// Stores waypoints with a copy that has none or wrong ones, if the mount may be written to.
    awaitable<void> keep_waypoints(const mount&, const md5_digest& name, volumes::block_reader&,
                                   const digest::waypoints&);

    const options options_;
    const mount_table mounts_;
    const protocol::locator_signer signer_;
    pool::buffer_pool& pool_;
    digest::engine& digest_;
    // For copying from one volume to another in the middle of a PUT, which holds a chunk of pool_ already: if it waited
    // for a second one there, many of them could wait for each other for ever.
    pool::buffer_pool copy_pool_{limits::copy_pool_bytes};
    bad_copy_log bad_copy_log_;
    std::atomic<std::uint64_t> bad_copies_{0};
    std::atomic<std::uint64_t> repaired_copies_{0};
    // For reads that find no room in pool_: each holds a chunk for a moment only.
    pool::buffer_pool scratch_pool_{limits::scratch_pool_bytes};
    read_window read_window_;
    const verified_copy::resources read_resources_{pool_, scratch_pool_, digest_, read_window_};
    std::atomic<std::uint64_t> failovers_{0};
    std::atomic<std::uint64_t> patchworks_{0};
    std::atomic<std::uint64_t> bad_segments_{0};
    std::atomic<std::uint64_t> false_alarms_{0};
    std::atomic<std::uint64_t> waypoints_added_{0};
};

}  // namespace keepstore::store
