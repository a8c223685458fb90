/// What a volume offers: random-access readers, incremental writers, and the life cycle of blocks (touch, trash,
/// untrash, index). A volume knows no locators, tokens, storage classes or policy: it stores blocks under their MD5 and
/// says when they were last written. One implementation per kind of storage; see volumes/factory.hpp.
///
/// Threads: every call may come from any thread; coroutines resume on the executor of their caller and never block it.
/// Deadlines: a call that has not come back by `until` gives errc::timeout, and may still have happened. Drivers apply
/// their own smaller limit (limits::volume_call_timeout) so that a hung disk is noticed before a request is over.
/// Cancellation: a cancelled call gives errc::cancelled and leaves nothing behind but what had completed.
/// Errors: errc::not_found, no_space, timeout, cancelled, unavailable (overloaded or known to hang), unsupported,
/// io_error. Texts never contain paths.
#pragma once

#include "base/async.hpp"
#include "base/buffer.hpp"
#include "base/deadline.hpp"
#include "base/md5_digest.hpp"

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
    mutable_slice
        into;  ///< As large as the block is expected to be, or a little larger: whole pages are read in place.
};

/// An open block. It stays readable, with the same content, after the block was trashed or replaced.
/// Use from one executor; several read_at may be under way at a time, the rest one after the other.
class block_reader {
  public:
    virtual ~block_reader() = default;

    /// Size when it was opened.
    [[nodiscard]] virtual std::uint64_t size() const noexcept = 0;

    /// Whether the bytes come as a stream from afar: reading on is cheap, reading again or elsewhere costs a request.
    [[nodiscard]] virtual bool streams() const noexcept { return false; }

    /// The bytes will be read once, as they are stored, by somebody who has no further use for them: a driver then
    /// reads past its caches and leaves them as they are. Before the first read; reads may then run side by side.
    virtual void bypass_caches() {}

    /// Fills `into` from `offset`. Short only at the end of the block.
    [[nodiscard]] virtual awaitable<result<std::size_t>> read_at(std::uint64_t offset, mutable_slice into,
                                                                 deadline until) = 0;

    /// What can be had without waiting (page cache), which may be less than asked for; nullopt if nothing can.
    /// Never blocks. \returns 0 at the end of the block.
    [[nodiscard]] virtual std::optional<std::size_t> try_read_at(std::uint64_t offset, std::span<std::byte> into) {
        static_cast<void>(offset);
        static_cast<void>(into);
        return std::nullopt;
    }

    /// Whether the stored bytes from `offset` are equal to `bytes`; false if the block ends before. Needs no buffer of
    /// the pool, so that a holder of one chunk can always compare.
    [[nodiscard]] virtual awaitable<result<bool>> equals_at(std::uint64_t offset, const_slice bytes,
                                                            deadline until) = 0;

    /// A small named value stored beside the block's content without changing it (an extended attribute, object
    /// metadata). errc::not_found when there is none, errc::unsupported when the storage has no such thing.
    [[nodiscard]] virtual awaitable<result<std::vector<std::byte>>> read_attribute(std::string name,
                                                                                   deadline until) = 0;
    [[nodiscard]] virtual awaitable<result<void>> write_attribute(std::string name, std::vector<std::byte> value,
                                                                  deadline until) = 0;
};

/// A block being written. Dropped without commit: nothing of it remains. Use from one coroutine at a time.
class block_writer {
  public:
    virtual ~block_writer() = default;

    /// Takes a share in `bytes` and writes them behind the caller's back, in order. Suspends only while more than
    /// `queue_bytes` (see set_queue_bytes) wait to be written. A failed write is reported by the next append or commit;
    /// the writer is then good for nothing but read_back. Everything that earlier appends took can be read back; of the
    /// one that failed, perhaps. Large slices (whole chunks) are cheapest: writing begins with whatever is there.
    [[nodiscard]] virtual awaitable<result<void>> append(const_slice bytes, deadline until) = 0;

    /// How many appended bytes may wait to be written before append suspends.
    virtual void set_queue_bytes(std::size_t) noexcept = 0;

    /// Bytes that were written before the writer failed (or was stopped), for continuing on another volume.
    /// \returns the count read, short at the end of what can be read back.
    [[nodiscard]] virtual awaitable<result<std::size_t>> read_back(std::uint64_t offset, mutable_slice into,
                                                                   deadline until) = 0;

    /// Makes everything appended the content of the block, visible at once or not at all, and (unless the volume is
    /// configured otherwise) durable before it returns: data, name and mtime survive a power cut. The mtime is the time
    /// of the commit. Replaces a block that is there already.
    ///
    /// `attribute`: name and value to be stored with the block as by write_attribute; ignored where unsupported.
    [[nodiscard]] virtual awaitable<result<void>> commit(
        std::optional<std::pair<std::string, std::vector<std::byte>>> attribute, deadline until) = 0;
};

enum class trash_outcome {
    trashed,  ///< It is in the trash (or deleted, where the trash lifetime is 0).
    too_new,  ///< Kept: written or touched within the protection period.
    changed,  ///< Kept: its mtime is not the expected one.
};

struct trash_options {
    std::chrono::nanoseconds protect_for;          ///< Blocks younger than this are kept (BlobSigningTTL).
    std::chrono::nanoseconds lifetime;             ///< How long it stays in the trash; 0 deletes at once.
    std::optional<block_time> only_if_mtime = {};  ///< Trash only if the mtime is exactly this.
};

/// What is known of a block before it is opened, and of what it is opened for. Nothing depends on its being true.
struct open_hint {
    std::optional<std::uint64_t> size = {};
    /// Offset and length of the only bytes that will be read if the block has waypoints (all of their segments); length
    /// 0: the whole block.
    std::pair<std::uint64_t, std::uint64_t> part = {0, 0};
    /// A block that is not there is written next.
    bool replaces = false;
};

struct empty_trash_stats {
    std::uint64_t blocks_deleted = 0;
    std::uint64_t bytes_deleted = 0;
    std::uint64_t blocks_in_trash = 0;  ///< Remaining, not yet due.
    std::uint64_t bytes_in_trash = 0;
};

/// Receives an index in batches, in any order. Called from the coroutine that awaits volume::index.
class index_sink {
  public:
    virtual ~index_sink() = default;
    /// An error ends the index and is its result.
    [[nodiscard]] virtual awaitable<result<void>> put(std::span<const block_info> batch) = 0;
};

/// Counters of one volume, for /metrics (docs/interface.md 6.3: arvados_keepstore_volume_*). Names are those of the Go
/// daemon.
struct volume_stats {
    std::map<std::string, std::uint64_t> operations;  ///< "open", "create", "rename", ... or "get", "put", ...
    std::map<std::string, std::uint64_t> errors;      ///< By error type.
    std::uint64_t bytes_in = 0;                       ///< Read from the storage.
    std::uint64_t bytes_out = 0;                      ///< Written to the storage.
};

class volume {
  public:
    virtual ~volume() = default;

    /// Identifies the storage behind the volume, stable over restarts, the same for every daemon that serves it.
    [[nodiscard]] virtual const std::string& device_id() const noexcept = 0;

    /// Opens a block for reading. errc::not_found.
    [[nodiscard]] virtual awaitable<result<std::unique_ptr<block_reader>>> open(md5_digest name, deadline until) = 0;

    /// The same, by drivers for which requests are dear: they ask at once for what will be wanted.
    [[nodiscard]] virtual awaitable<result<std::unique_ptr<block_reader>>> open_for(md5_digest name, open_hint hint,
                                                                                    deadline until) {
        static_cast<void>(hint);
        return open(name, until);
    }

    /// The same without waiting, when it can be had at once (names and inodes in memory). nullopt: use open().
    [[nodiscard]] virtual std::optional<result<std::unique_ptr<block_reader>>> try_open(const md5_digest& name) {
        static_cast<void>(name);
        return std::nullopt;
    }

    /// Whether read_whole is cheaper than opening each block: where a block can be opened, read and closed in one go.
    [[nodiscard]] virtual bool can_read_whole() const noexcept { return false; }

    /// Reads small blocks from beginning to end, one after the other, for somebody who has no further use for their
    /// bytes (see block_reader::bypass_caches). \returns for each of them how many bytes it has: if these are more
    /// than `into`, nothing was read; or why it cannot be read, as open() and read_at() say it. errc::unsupported where
    /// can_read_whole() is false.
    [[nodiscard]] virtual awaitable<result<std::vector<result<std::uint64_t>>>> read_whole(
        std::vector<whole_read> blocks, deadline until) {
        static_cast<void>(blocks);
        static_cast<void>(until);
        co_return fail(errc::unsupported);
    }

    /// Begins a block of `size` bytes if known. Nothing may be visible to readers before commit. errc::no_space when
    /// the volume is known to be full. Cheap: drivers put off real work to the first append or to commit.
    [[nodiscard]] virtual awaitable<result<std::unique_ptr<block_writer>>> create(md5_digest name,
                                                                                  std::optional<std::uint64_t> size,
                                                                                  deadline until) = 0;

    /// Whether the commit of a block of this size finds out by itself whether the block is there already, and then does
    /// what a caller who opened it before would do: an equal copy is touched, a rotten one replaced, and another block
    /// with the same MD5 is errc::collision. Where looking costs requests, callers save them.
    [[nodiscard]] virtual bool compares_on_commit(std::optional<std::uint64_t> size) const {
        static_cast<void>(size);
        return false;
    }

    /// Sets the mtime to now, durably. errc::not_found if the block is not there, or was trashed meanwhile.
    [[nodiscard]] virtual awaitable<result<void>> touch(md5_digest name, deadline until) = 0;

    [[nodiscard]] virtual awaitable<result<block_time>> mtime(md5_digest name, deadline until) = 0;

    [[nodiscard]] virtual awaitable<result<trash_outcome>> trash(md5_digest name, trash_options options,
                                                                 deadline until) = 0;

    /// Brings the latest trash copy back with mtime now, durably. A block that is there already stays and is touched.
    /// errc::not_found when there is no trash copy.
    [[nodiscard]] virtual awaitable<result<void>> untrash(md5_digest name, deadline until) = 0;

    /// Deletes the trash that is due, with `concurrency` workers.
    [[nodiscard]] virtual awaitable<result<empty_trash_stats>> empty_trash(unsigned concurrency, deadline until) = 0;

    /// Lists the blocks whose hex name begins with `prefix` (lower-case hex; anything else matches nothing).
    /// An error means that the listing is incomplete. Flat in memory; suspends while the sink does.
    [[nodiscard]] virtual awaitable<result<void>> index(std::string prefix, index_sink& sink, deadline until) = 0;

    /// A small named value kept by the volume itself, beside the blocks: where a scrub stopped. Losing it loses nothing
    /// but time. errc::not_found when there is none, errc::unsupported where the storage has no place for it.
    [[nodiscard]] virtual awaitable<result<std::vector<std::byte>>> load_metadata(std::string name, deadline until) {
        static_cast<void>(name);
        static_cast<void>(until);
        co_return fail(errc::unsupported);
    }
    [[nodiscard]] virtual awaitable<result<void>> save_metadata(std::string name, std::vector<std::byte> value,
                                                                deadline until) {
        static_cast<void>(name);
        static_cast<void>(value);
        static_cast<void>(until);
        co_return fail(errc::unsupported);
    }

    [[nodiscard]] virtual volume_stats stats() const = 0;

    /// Whether the volume answers at present, for readiness. An empty string, or what is wrong in plain words.
    [[nodiscard]] virtual std::string health() const = 0;
};

}  // namespace keepstore::volumes
