/// Where blocks are, for every command: a volume that is opened here, or servers. open_place.hpp opens one.
///
/// Calls come from the one event loop of the tool. Listings and blocks are complete and proven, or an error.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "keepctl/cluster/entry.hpp"
#include "keepctl/cluster/server_traits.hpp"
#include "protocol/proven_stream.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace keepstore::keepctl {

/// A volume as one server uses it.
struct mount_info {
    std::string uuid;
    std::string device_id;
    std::string server;  ///< URL; empty for a volume that is opened here.
    bool allow_write = true;
    bool allow_trash = false;
    std::int64_t replication = 1;
    std::map<std::string, bool> classes = {};
};

/// What was wrong with entries that a listing has left out.
struct listing_notes {
    std::uint64_t too_large = 0;  ///< Over limits::block_size_bytes_max: no block.
    std::uint64_t foreign = 0;    ///< Files and objects that no keepstore made.

    listing_notes& operator+=(const listing_notes& other) noexcept {
        too_large += other.too_large;
        foreign += other.foreign;
        return *this;
    }
};

/// A server that should take a block.
struct store_target {
    std::uint16_t server = 0;
    std::int64_t replicas_max = 1;  ///< That it makes of the block.
};

/// What a block lacks at a place.
struct store_plan {
    std::int64_t missing = 0;                ///< Replicas; 0: nothing.
    std::vector<store_target> servers = {};  ///< In the order in which to try them.
};

class block_place {
  public:
    virtual ~block_place() = default;

    /// As the command line names it.
    [[nodiscard]] virtual const std::string& name() const noexcept = 0;

    /// Finds out whether the place can be used, and what mounts() it has. Before anything else.
    [[nodiscard]] virtual awaitable<result<void>> connect(deadline until) = 0;
    [[nodiscard]] virtual const std::vector<mount_info>& mounts() const noexcept = 0;

    /// Appends all copies of blocks whose names begin with `prefix`, in any order. On error what was appended means
    /// nothing.
    [[nodiscard]] virtual awaitable<result<void>> list(std::string prefix, std::vector<entry>& out,
                                                       listing_notes& notes, deadline until) = 0;

    /// Names of the servers that the place is used through; a volume that is opened here is one. Their indexes are what
    /// `server` means below.
    [[nodiscard]] virtual const std::vector<std::string>& server_names() const noexcept = 0;
    /// Finds out whether all servers respond now. After connect(), at any time.
    [[nodiscard]] virtual awaitable<result<void>> check(deadline until) const = 0;

    /// What those of its servers that say so are like; nothing for a volume that is opened here. After connect().
    [[nodiscard]] virtual awaitable<std::vector<server_traits>> traits(deadline until) const;

    /// Servers that may have the block, in the order in which to try them; at least one.
    [[nodiscard]] virtual std::vector<std::uint16_t> sources(const md5_digest& block) const = 0;
    /// Opens a copy for reading. errc::not_found.
    [[nodiscard]] virtual awaitable<result<std::unique_ptr<protocol::block_source>>> open(block_id block,
                                                                                          std::size_t server,
                                                                                          deadline until) = 0;

    /// Has that server read and verify its copy itself. errc::not_found, checksum_mismatch; unsupported where it
    /// cannot: open it, and read it here.
    [[nodiscard]] virtual awaitable<result<void>> verify(block_id block, std::size_t server, deadline until);

    /// Brings the block back from the trash, wherever a copy is in it. \returns whether there is one; an error if there
    /// is none, and something could not be asked. What comes back is not verified.
    [[nodiscard]] virtual awaitable<result<bool>> untrash(md5_digest block, deadline until) = 0;

    /// Replicas that a block should have, and that the place can hold of one. After connect().
    [[nodiscard]] virtual std::int64_t replicas_wanted() const noexcept = 0;
    [[nodiscard]] virtual std::int64_t replicas_possible() const noexcept = 0;
    /// What a block with these good copies (entries of one block, sorted; may be empty) lacks.
    [[nodiscard]] virtual store_plan plan(const md5_digest& block, std::span<const entry> good) const = 0;
    /// Whether the servers compute the MD5 of what store() brings themselves, refuse bytes that are not the block
    /// (errc::checksum_mismatch), and respond with the digest of what they have stored. Where not, only proven bytes
    /// may be stored.
    [[nodiscard]] virtual bool proves_stored() const noexcept { return false; }
    /// Stores a block: all of it, durably, or nothing. Replaces a bad copy. \returns the number of replicas.
    /// errc::collision if another block with the same MD5 is there.
    [[nodiscard]] virtual awaitable<result<std::int64_t>> store(block_id block, std::size_t server,
                                                                protocol::block_stream& bytes, deadline until) = 0;
};

/// Identifies the storage of a connected place by its mounts: a cluster with one server more is another place.
[[nodiscard]] std::string devices_of(const block_place& place);

/// The differences between the servers of two connected places, for the operator. Awaited in place.
[[nodiscard]] awaitable<std::vector<std::string>> differences_of(const block_place& a, const block_place& b,
                                                                 deadline until);

/// Whether every further call would get this error, too: a wrong token, certificate or bucket, a read-only or full
/// storage. The run ends with it, instead of failing block by block.
[[nodiscard]] bool is_final(const error& why) noexcept;
/// Whether another attempt at the same block may succeed.
[[nodiscard]] bool may_pass_later(const error& why) noexcept;

}  // namespace keepstore::keepctl
