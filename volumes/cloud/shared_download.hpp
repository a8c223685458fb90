/// Downloads a block once for any number of readers, on any loops: one GET, or several ranged ones (block_body.hpp).
///
/// It downloads a bounded distance ahead of its fastest reader and keeps what that one has read, for others, while the
/// volume's memory lasts. A reader outside that window (it has fallen behind, or reads far ahead) gets
/// `piece::outside_window` and starts its own GET; it never blocks the others. The download is cancelled when its last
/// reader leaves. While its readers want nothing it gives its connection to downloads that wait for one, and continues
/// with ranged GETs later (download_turns.hpp). Safe to use from any thread.
#pragma once

#include "base/async.hpp"
#include "base/async_condition.hpp"
#include "base/buffer.hpp"
#include "base/deadline.hpp"
#include "volumes/cloud/block_body.hpp"
#include "volumes/cloud/download_turns.hpp"
#include "volumes/cloud/download_window.hpp"
#include "volumes/cloud/limits.hpp"
#include "volumes/cloud/multipart_policy.hpp"
#include "volumes/cloud/object_source.hpp"
#include "volumes/cloud/open_body.hpp"
#include "volumes/cloud/task_group.hpp"

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

namespace keepstore::volumes::cloud {

class volume_core;

class shared_download : public std::enable_shared_from_this<shared_download> {
  public:
    shared_download(std::shared_ptr<volume_core> core, download_target what);

    using piece = download_window::piece;

    /// Starts it, with its first reader. \returns that reader's number.
    [[nodiscard]] unsigned start();
    /// Adds a reader. nullopt if the download is over, or its beginning was dropped.
    [[nodiscard]] std::optional<unsigned> join();
    void leave(unsigned reader);

    /// Returns size, ETag and metadata of the object when the head of the response has come. errc::not_found.
    [[nodiscard]] awaitable<result<protocol::object_info>> opened(deadline until);

    /// Returns at most `want` bytes at `offset`, which lies within the object. Suspends until they are here.
    [[nodiscard]] awaitable<result<piece>> read(unsigned reader, std::uint64_t offset, std::size_t want,
                                                deadline until);
    /// The same without waiting. nullopt: the bytes are still to come.
    [[nodiscard]] std::optional<piece> try_read(unsigned reader, std::uint64_t offset, std::size_t want);

    /// Drops what all readers have had, if there is only one reader or `also_shared`.
    void release_buffers(bool also_shared);
    /// No reader is expected to join: while there is one reader, what it has had is dropped at once.
    void expect_single_reader();

    [[nodiscard]] const std::shared_ptr<object_source>& source() const noexcept { return source_; }
    [[nodiscard]] bool fixes_race() const noexcept { return what_.fix_race; }
    [[nodiscard]] std::uint64_t begin() const noexcept { return what_.offset; }
    /// The end of the range that was requested, if one was.
    [[nodiscard]] std::optional<std::uint64_t> planned_end() const noexcept {
        if (!what_.length) return std::nullopt;
        return what_.offset + *what_.length;
    }

  private:
    [[nodiscard]] awaitable<result<piece>> wait_for(unsigned reader, std::uint64_t offset, std::size_t want,
                                                    deadline until);

    /// A GET under way.
    struct transfer_turn {
        download_turns::turn turn;
        std::unique_ptr<block_body> body;  ///< Destroyed first.
        bool partial = false;              ///< The object goes on after it.
    };
    enum class received { all, paused };

    // The task, on a loop of the volume.
    static awaitable<result<void>> run(std::shared_ptr<shared_download> self);
    [[nodiscard]] awaitable<result<received>> receive_first();
    [[nodiscard]] awaitable<result<void>> continue_in_ranges(std::uint64_t bytes);
    [[nodiscard]] bool asks_for_part() const;
    [[nodiscard]] awaitable<result<transfer_turn>> open_first(std::optional<multipart_policy::transfer>& transfer);
    [[nodiscard]] awaitable<result<transfer_turn>> open_range(protocol::byte_range range);
    [[nodiscard]] awaitable<result<void>> wait_throttled(const error& why);
    [[nodiscard]] awaitable<result<received>> receive(transfer_turn& from, multipart_policy::clock::duration& waited);
    [[nodiscard]] awaitable<result<std::optional<mutable_slice>>> next_memory(std::size_t size,
                                                                              const download_turns::turn& mine);
    [[nodiscard]] awaitable<result<bool>> wait_for_demand(std::unique_lock<std::mutex>& lock,
                                                          const download_turns::turn& mine);
    [[nodiscard]] awaitable<result<std::optional<protocol::byte_range>>> next_range(std::uint64_t bytes);
    [[nodiscard]] std::optional<mutable_slice> find_memory(std::size_t size);
    [[nodiscard]] awaitable<result<void>> fill(block_body& body, const mutable_slice& memory);
    void ended(const result<void>& outcome);

    // With the mutex held.
    [[nodiscard]] bool wanted() const { return window_.wanted(limits::cloud_read_ahead_bytes); }
    void wake_task();

    // Constant after construction.
    const std::shared_ptr<volume_core> core_;
    const download_target what_;
    const std::shared_ptr<object_source> source_;

    // The task's.
    bool reserved_ = false;    ///< The piece that it fills is of the reserve.
    bool whole_only_ = false;  ///< The service did not accept a range.

    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::shared_ptr<loop_task> task_;
    download_window window_;
    std::optional<protocol::object_info> info_;  ///< Once the head of the response has come.
    std::optional<error> failed_;
    bool over_ = false;  ///< Left by its last reader.
    bool keeps_for_newcomers_ = true;
    std::uint64_t reserved_upto_ = 0;        ///< Pieces of the reserve end at or before it.
    async_condition head_arrived_{mutex_};   ///< info_ or failed_ was set.
    async_condition piece_arrived_{mutex_};  ///< The window has grown, or the task has ended.
    async_condition demand_{mutex_};         ///< For the task: more is wanted.
};

}  // namespace keepstore::volumes::cloud
