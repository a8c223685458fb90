/// The interface of a storage volume: random-access readers, incremental writers, and the life cycle of blocks (touch,
/// trash, untrash, index). A volume stores blocks under their MD5 and says when they were last written; it knows no
/// locators, tokens, storage classes or policy. One implementation per kind of storage: volumes/factory.hpp opens them,
/// tests/contract/volume_contract.hpp tests what this header promises.
///
/// Threads: every call may come from any thread; coroutines resume on the executor of their caller and never block it.
/// Deadlines: a call that has not ended by `until` returns errc::timeout, and may still take effect. One whose deadline
/// says ending_at_stall() returns errc::unavailable as soon as the volume stalls (docs/volume-health.md).
/// Cancellation: a cancelled call returns errc::cancelled and leaves nothing but what it had completed.
/// Errors: errc::not_found, no_space, timeout, cancelled, unavailable (overloaded or known to hang), unsupported,
/// io_error. Texts never contain paths.
#pragma once

#include "base/async.hpp"
#include "base/buffer.hpp"
#include "base/deadline.hpp"
#include "base/md5_digest.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace keepstore::volumes {

/// Wall-clock time in nanoseconds since 1970, the resolution of the index (docs/interface.md 2.14).
using block_time = std::chrono::sys_time<std::chrono::nanoseconds>;

struct block_info {
    md5_digest name;
    std::uint64_t size;
    block_time mtime;
};

/// A block to be read whole: see volume::read_whole.
struct whole_read {
    md5_digest name;
    /// As large as the block is expected to be, or a little larger: whole pages are read in place.
    mutable_slice into;
};

/// An open block. Stays readable, with the same content, after the block was trashed or replaced.
/// Use from one executor. Several read_at may run concurrently; other calls only one at a time.
class block_reader {
  public:
    virtual ~block_reader() = default;

    /// Returns the size of the block when it was opened.
    [[nodiscard]] virtual std::uint64_t size() const noexcept = 0;

    /// Returns whether reads are served from a stream over the network: reading on is cheap, while reading again or at
    /// another offset costs a request.
    [[nodiscard]] virtual bool streams() const noexcept { return false; }

    /// Makes reads come from the storage itself and leave the driver's caches as they are: the caller reads each byte
    /// once. Call it before the first read.
    virtual void bypass_caches() {}

    /// Reads into `into` from `offset`. \returns the bytes read; fewer than `into` only at the end of the block.
    [[nodiscard]] virtual awaitable<result<std::size_t>> read_at(std::uint64_t offset, mutable_slice into,
                                                                 deadline until) = 0;

    /// Reads what needs no waiting (page cache). Never blocks. \returns the bytes read, which may be fewer than `into`;
    /// 0 at the end of the block; nullopt if all of it needs waiting.
    [[nodiscard]] virtual std::optional<std::size_t> try_read_at(std::uint64_t offset, std::span<std::byte> into) {
        static_cast<void>(offset);
        static_cast<void>(into);
        return std::nullopt;
    }

    /// Reads at most `want` bytes at `offset` of a stream into memory of the driver, of which the slice is a share: so
    /// that the caller holds no memory while they are on their way. To be copied at once: the driver has little.
    /// \returns at least one byte, unless at the end of the block; errc::unsupported where it is no stream.
    [[nodiscard]] virtual awaitable<result<const_slice>> read_piece(std::uint64_t offset, std::size_t want,
                                                                    deadline until) {
        static_cast<void>(offset);
        static_cast<void>(want);
        static_cast<void>(until);
        co_return fail(errc::unsupported);
    }

    /// Compares the stored bytes from `offset` with `bytes`; not equal if the block ends before. Needs no buffer of the
    /// pool, so that a caller that holds one chunk never waits for a second one.
    [[nodiscard]] virtual awaitable<result<bool>> equals_at(std::uint64_t offset, const_slice bytes,
                                                            deadline until) = 0;

    /// Reads a small named value stored with the block but outside of its content (an extended attribute, object
    /// metadata). errc::not_found when there is none, errc::unsupported when the storage has no such values.
    [[nodiscard]] virtual awaitable<result<std::vector<std::byte>>> read_attribute(std::string name,
                                                                                   deadline until) = 0;
    /// Stores such a value. errc::unsupported.
    [[nodiscard]] virtual awaitable<result<void>> write_attribute(std::string name, std::vector<std::byte> value,
                                                                  deadline until) = 0;
};

/// A block being written. Destroyed without commit, it leaves nothing. Use from one coroutine at a time.
class block_writer {
  public:
    virtual ~block_writer() = default;

    /// Queues `bytes` (by reference) for writing in the background, in order. Suspends only while more than
    /// `queue_bytes` (see set_queue_bytes) are queued, or any while all writers of the volume together have too many
    /// (limits::volume_queue_bytes_max). A failed write is reported by the next append or commit; afterwards only
    /// read_back is of use, which has all the bytes of earlier appends and perhaps those of the one that failed. Large
    /// slices (whole chunks) are cheapest: each write takes all that is queued.
    ///
    /// Writes begin by themselves, but those of a block that is known, by its announced size or its last piece, to fit
    /// one chunk may wait for commit.
    [[nodiscard]] virtual awaitable<result<void>> append(const_slice bytes, deadline until) = 0;

    /// Sets how many appended bytes may be queued before append suspends.
    virtual void set_queue_bytes(std::size_t) noexcept = 0;

    /// Waits until nothing that was appended is held any more: it is written or copied, apart from what waits for
    /// commit. Sets queue_bytes to 0. \returns the error of a failed write.
    [[nodiscard]] awaitable<result<void>> flush(deadline until) {
        set_queue_bytes(0);
        return append({}, until);
    }

    /// Reads appended bytes back from a writer that failed or was stopped, to continue on another volume.
    /// \returns the bytes read; fewer than `into` at the end of what can be read back.
    [[nodiscard]] virtual awaitable<result<std::size_t>> read_back(std::uint64_t offset, mutable_slice into,
                                                                   deadline until) = 0;

    /// Publishes the appended bytes as the content of the block, with the time of the commit as its mtime. Replaces a
    /// block that is there already.
    ///
    /// Atomic: at any time, and after a crash, readers find the old content (or no block) or all of the new one.
    /// Durable: when it returns success, data, name and mtime survive a power cut (unless the volume is configured not
    /// to sync). Any later open(), by this process or another one, finds the block, until it is trashed, and trash()
    /// does not take it within `protect_for` of the commit.
    /// On error readers find the old content, or the new one, which is then not known to be durable.
    ///
    /// `attribute`: name and value to be stored with the block as by write_attribute; ignored where unsupported.
    [[nodiscard]] virtual awaitable<result<void>> commit(
        std::optional<std::pair<std::string, std::vector<std::byte>>> attribute, deadline until) = 0;
};

enum class trash_outcome {
    trashed,  ///< Moved to the trash (or deleted, where the trash lifetime is 0).
    too_new,  ///< Kept: written or touched within the protection period.
    changed,  ///< Kept: its mtime is not the expected one.
};

/// See volumes/trash_rule.hpp.
struct trash_options {
    std::chrono::nanoseconds protect_for;          ///< Blocks younger than this are kept (BlobSigningTTL).
    std::chrono::nanoseconds lifetime;             ///< Time in the trash (BlobTrashLifetime); 0 deletes at once.
    std::optional<block_time> only_if_mtime = {};  ///< Trash only if the mtime is exactly this.
};

/// What the caller knows of a block before it opens it, and what it will read. Wrong hints cost time, nothing else.
struct open_hint {
    std::optional<std::uint64_t> size = {};
    /// Offset and length of what will be read if the block has waypoints (with the rest of those segments); length 0:
    /// the whole block.
    std::pair<std::uint64_t, std::uint64_t> part = {0, 0};
    /// The caller writes the block next if it is not there.
    bool replaces = false;
};

struct empty_trash_stats {
    std::uint64_t blocks_deleted = 0;
    std::uint64_t bytes_deleted = 0;
    std::uint64_t blocks_in_trash = 0;  ///< Kept: not due yet, or not to be deleted for another reason.
    std::uint64_t bytes_in_trash = 0;
};

/// Receives an index in batches, in any order. Called from the coroutine that awaits volume::index.
class index_sink {
  public:
    virtual ~index_sink() = default;
    /// Takes a batch. An error ends the index and becomes its result.
    [[nodiscard]] virtual awaitable<result<void>> put(std::span<const block_info> batch) = 0;
    /// Before the end: how many files or keys the listing has met that no keepstore made. They are left alone.
    virtual void foreign(std::uint64_t count) { static_cast<void>(count); }
};

/// Counters of one volume, for /metrics (docs/interface.md 6.3). The names of operations and errors are those of the Go
/// daemon. A name that may be counted is there from the start, with 0, as far as it is known by then.
struct volume_stats {
    /// A counter of this driver only, under its own name in /metrics.
    struct own_counter {
        std::string name;
        std::string help;
        std::string label;  ///< Empty: none in addition to the device id.
        std::string label_value;
        std::uint64_t value = 0;
    };
    struct space_info {
        std::uint64_t size_bytes = 0;
        std::uint64_t available_bytes = 0;  ///< What blocks may still take.
    };

    std::map<std::string, std::uint64_t> operations;  ///< "open", "create", "rename", ... or "get", "put", ...
    std::map<std::string, std::uint64_t> errors;      ///< By error type.
    std::uint64_t bytes_in = 0;                       ///< Read from the storage.
    std::uint64_t bytes_out = 0;                      ///< Written to the storage.
    std::vector<own_counter> own;
    std::optional<space_info> space;  ///< As last measured; nullopt where the storage has no limit.

    /// Adds the counters of another volume of the same device.
    void add(const volume_stats& other) {
        for (const auto& [name, n] : other.operations) operations[name] += n;
        for (const auto& [name, n] : other.errors) errors[name] += n;
        bytes_in += other.bytes_in;
        bytes_out += other.bytes_out;
        for (const auto& theirs : other.own) {
            const auto ours = std::ranges::find_if(own, [&](const own_counter& c) {
                return c.name == theirs.name && c.label_value == theirs.label_value;
            });
            if (ours == own.end()) {
                own.push_back(theirs);
            } else {
                ours->value += theirs.value;
            }
        }
        if (!space) space = other.space;
    }
};

/// Whether a volume serves its calls, from good to bad; volumes/health.hpp has the transitions.
enum class volume_state : unsigned char {
    healthy,
    slow,     ///< It makes progress, and calls take long.
    stalled,  ///< Calls are pending, and none makes progress.
    failing,  ///< Calls return errors, and so does a probe.
    gone,     ///< The storage is not there, or is another one than at the start.
};

[[nodiscard]] constexpr std::string_view to_string(volume_state state) noexcept {
    constexpr std::string_view names[] = {"healthy", "slow", "stalled", "failing", "gone"};
    return names[static_cast<std::size_t>(state)];
}

/// Reads and writes differ: a disk whose syncs hang may still serve reads.
struct volume_states {
    volume_state reads = volume_state::healthy;
    volume_state writes = volume_state::healthy;
    [[nodiscard]] bool operator==(const volume_states&) const = default;
};

class volume {
  public:
    virtual ~volume() = default;

    /// Returns the identity of the storage (docs/interface.md 4.3): the same after a restart, and for every daemon that
    /// serves it.
    [[nodiscard]] virtual const std::string& device_id() const noexcept = 0;

    /// Opens a block for reading. errc::not_found.
    [[nodiscard]] virtual awaitable<result<std::unique_ptr<block_reader>>> open(md5_digest name, deadline until) = 0;

    /// Opens a block like open(), and may start to fetch what the hint announces.
    [[nodiscard]] virtual awaitable<result<std::unique_ptr<block_reader>>> open_for(md5_digest name, open_hint hint,
                                                                                    deadline until) {
        static_cast<void>(hint);
        return open(name, until);
    }

    /// Opens a block if that needs no waiting (its name and inode are in memory). Never blocks. nullopt: use open().
    [[nodiscard]] virtual std::optional<result<std::unique_ptr<block_reader>>> try_open(const md5_digest& name) {
        static_cast<void>(name);
        return std::nullopt;
    }

    /// Returns whether read_whole is cheaper than opening each block.
    [[nodiscard]] virtual bool can_read_whole() const noexcept { return false; }

    /// Reads small blocks completely, one after the other, past the caches (see block_reader::bypass_caches).
    /// \returns for each the size of the block, of which nothing was read if it is larger than `into`; or the error of
    /// open() or read_at(). errc::unsupported where can_read_whole() is false.
    [[nodiscard]] virtual awaitable<result<std::vector<result<std::uint64_t>>>> read_whole(
        std::vector<whole_read> blocks, deadline until) {
        static_cast<void>(blocks);
        static_cast<void>(until);
        co_return fail(errc::unsupported);
    }

    /// Begins to write a block, of `size` bytes if known. Readers see nothing of it before commit. Cheap: drivers put
    /// off real work to the first append or to commit. errc::no_space when the volume is known to be full.
    [[nodiscard]] virtual awaitable<result<std::unique_ptr<block_writer>>> create(md5_digest name,
                                                                                  std::optional<std::uint64_t> size,
                                                                                  deadline until) = 0;

    /// Returns whether the commit of a block of this size compares it with the stored one itself: an equal copy is
    /// touched, a corrupt one replaced, and another block with the same MD5 is errc::collision. Callers then need not
    /// open the block first, which would cost requests.
    [[nodiscard]] virtual bool compares_on_commit(std::optional<std::uint64_t> size) const {
        static_cast<void>(size);
        return false;
    }

    /// Sets the mtime to now, durably. errc::not_found if the block is not there, or was trashed meanwhile.
    [[nodiscard]] virtual awaitable<result<void>> touch(md5_digest name, deadline until) = 0;

    /// Returns when the block was last written or touched. errc::not_found.
    [[nodiscard]] virtual awaitable<result<block_time>> mtime(md5_digest name, deadline until) = 0;

    /// Moves the block to the trash, or deletes it, if the rule of volumes/trash_rule.hpp allows. The check and the
    /// move are one step for concurrent touches and commits, or a race is recognised and undone later. errc::not_found.
    [[nodiscard]] virtual awaitable<result<trash_outcome>> trash(md5_digest name, trash_options options,
                                                                 deadline until) = 0;

    /// Restores the latest trash copy with mtime now, durably. A block that is there already stays and is touched, if
    /// it is good. errc::not_found when there is no trash copy; checksum_mismatch when neither the block nor a copy is
    /// good: without a block the latest copy is restored all the same, since parts of it may be of use.
    [[nodiscard]] virtual awaitable<result<void>> untrash(md5_digest name, deadline until) = 0;

    /// Deletes the trash that is due, with `concurrency` workers.
    [[nodiscard]] virtual awaitable<result<empty_trash_stats>> empty_trash(unsigned concurrency, deadline until) = 0;

    /// Lists the blocks whose hex name begins with `prefix` (lower-case hex; anything else matches nothing). Needs
    /// bounded memory; suspends while the sink does. An error means that the listing is incomplete.
    [[nodiscard]] virtual awaitable<result<void>> index(std::string prefix, index_sink& sink, deadline until) = 0;

    /// Reads a small named value of the volume itself, such as the checkpoint of a scrub. errc::not_found when there is
    /// none, errc::unsupported where the storage has no place for it.
    [[nodiscard]] virtual awaitable<result<std::vector<std::byte>>> load_metadata(std::string name, deadline until) {
        static_cast<void>(name);
        static_cast<void>(until);
        co_return fail(errc::unsupported);
    }
    /// Stores such a value, not durably: only values that can be computed again belong here. errc::unsupported.
    [[nodiscard]] virtual awaitable<result<void>> save_metadata(std::string name, std::vector<std::byte> value,
                                                                deadline until) {
        static_cast<void>(name);
        static_cast<void>(value);
        static_cast<void>(until);
        co_return fail(errc::unsupported);
    }

    /// Returns the counters. Never blocks.
    [[nodiscard]] virtual volume_stats stats() const = 0;

    /// Returns what the last calls and probes say. Never blocks.
    [[nodiscard]] virtual volume_states state() const { return {}; }

    /// Returns an empty string if the volume works at present (it is healthy or slow), or what is wrong in plain words,
    /// for readiness.
    [[nodiscard]] virtual std::string health() const = 0;
};

}  // namespace keepstore::volumes
