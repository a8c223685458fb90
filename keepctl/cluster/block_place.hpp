/// Where blocks are, for every command: a volume that is opened here, or servers. open_place.hpp opens one.
///
/// Calls come from the one event loop of the tool. Listings and blocks are complete and proven, or an error.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "keepctl/cluster/entry.hpp"
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

    /// Number of sources that may have a block, at least 1.
    [[nodiscard]] virtual std::size_t sources() const noexcept = 0;
    /// Opens a copy for reading: at the `number`th source in the order of the block, from 0. errc::not_found.
    [[nodiscard]] virtual awaitable<result<std::unique_ptr<protocol::block_source>>> open(block_id block,
                                                                                          std::size_t number,
                                                                                          deadline until) = 0;

    /// Has that source read and verify its copy itself. errc::not_found, checksum_mismatch; unsupported where it
    /// cannot: open it, and read it here.
    [[nodiscard]] virtual awaitable<result<void>> verify(block_id block, std::size_t number, deadline until);

    /// Number of targets that may take a block, and of those that should have it.
    [[nodiscard]] virtual std::size_t targets() const noexcept = 0;
    [[nodiscard]] virtual std::size_t copies_wanted() const noexcept = 0;
    /// Stores a block at the `number`th target in its order: all of it, durably, or nothing. Replaces a bad copy.
    /// errc::collision if another block with the same MD5 is there.
    [[nodiscard]] virtual awaitable<result<void>> store(block_id block, std::size_t number,
                                                        protocol::proven_stream& bytes, deadline until) = 0;
};

/// Whether every further call would get this error, too: a wrong token, certificate or bucket, a read-only or full
/// storage. The run ends with it, instead of failing block by block.
[[nodiscard]] bool is_final(const error& why) noexcept;

}  // namespace keepstore::keepctl
