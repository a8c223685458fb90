/// One GET (or several ranged ones: block_body.hpp), with the pieces that came of it, for any number of readers on any
/// loops. It runs ahead of its fastest reader a little, apart from ranges before their turn, and keeps what that one
/// has had, for others, as long as the volume's memory lasts: a reader who has fallen behind by then, or wants
/// something far ahead, is told to go elsewhere and never holds up the rest. It ends with its last reader. Safe to use
/// from any thread.
#pragma once

#include "base/async.hpp"
#include "base/buffer.hpp"
#include "base/deadline.hpp"
#include "base/limits.hpp"
#include "base/md5_digest.hpp"
#include "s3/client.hpp"
#include "volumes/s3/block_body.hpp"
#include "volumes/s3/loop_set.hpp"
#include "volumes/s3/multipart_policy.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace keepstore::volumes::s3 {

class s3_core;

/// What to fetch: a block as it is, or a part of an object that was opened before.
struct fetch_target {
    md5_digest name;
    std::uint64_t offset = 0;
    std::optional<std::uint64_t> length = {};  ///< Absent: to the end.
    std::string etag = {};                     ///< Empty: whatever is there now.
    bool fix_race = true;                      ///< When it is not there (s3_core::fix_race).
    std::uint64_t size = 0;                    ///< Of the object, as far as anybody knows.
};

/// A size that was not true, or a service that does not know ranges: the whole block is to be asked for then.
[[nodiscard]] bool range_is_at_fault(const error& why);

class fetch : public std::enable_shared_from_this<fetch> {
  public:
    fetch(std::shared_ptr<s3_core> core, fetch_target what);

    /// Starts it, with its first reader. \returns that reader's number.
    [[nodiscard]] unsigned start();
    /// One more reader; nullopt if it is over, or the beginning is no longer here.
    [[nodiscard]] std::optional<unsigned> join();
    void leave(unsigned reader);

    /// Size, ETag and metadata of the object, when the head of the answer has come. errc::not_found.
    [[nodiscard]] awaitable<result<keepstore::s3::object_info>> opened(deadline until);

    /// The block's marker will be wanted: asks for it beside the block.
    void ask_for_marker();
    /// The block's marker, asked for once for all readers.
    [[nodiscard]] awaitable<result<keepstore::s3::object_info>> marker(deadline until);

    struct piece {
        const_slice bytes;       ///< From the wanted offset on; not empty unless `elsewhere`.
        bool elsewhere = false;  ///< Will not be had here.
    };
    /// At most `want` bytes at `offset`, which lies within the object. Suspends until they are here.
    [[nodiscard]] awaitable<result<piece>> read(unsigned reader, std::uint64_t offset, std::size_t want,
                                                deadline until);
    /// What is here now.
    [[nodiscard]] std::optional<piece> try_read(unsigned reader, std::uint64_t offset, std::size_t want);

    /// Drops what all readers have had, if there is only one or `also_shared`.
    void shed(bool also_shared);
    /// As long as there is one reader, nothing is kept for others.
    void expect_nobody_else();

    [[nodiscard]] bool fixes_race() const noexcept { return what_.fix_race; }
    [[nodiscard]] std::uint64_t begin() const noexcept { return what_.offset; }
    /// Where it ends, if that was asked for.
    [[nodiscard]] std::optional<std::uint64_t> planned_end() const noexcept {
        if (!what_.length) return std::nullopt;
        return what_.offset + *what_.length;
    }

  private:
    struct kept {
        std::uint64_t offset;
        const_slice bytes;
        [[nodiscard]] std::uint64_t end() const noexcept { return offset + bytes.size(); }
    };
    struct waiter {
        std::uint64_t offset;
        one_shot<bool> ready;
    };

    static awaitable<result<bool>> run(std::shared_ptr<fetch> self);
    [[nodiscard]] awaitable<result<std::unique_ptr<block_body>>> open_body(
        std::optional<transfer_pace::transfer>& large);
    struct answer {
        std::string key;
        keepstore::s3::object_download body;
    };
    [[nodiscard]] awaitable<result<answer>> open(std::optional<std::uint64_t> first_bytes, deadline until);
    [[nodiscard]] awaitable<result<answer>> get(std::string key, keepstore::s3::get_options how, deadline until);
    [[nodiscard]] awaitable<bool> never_marked(deadline until);
    [[nodiscard]] awaitable<result<void>> receive(block_body& body, transfer_pace::clock::duration& waited);
    [[nodiscard]] std::optional<mutable_slice> find_memory(std::size_t size);
    void ended(const result<bool>& outcome);
    [[nodiscard]] awaitable<result<piece>> wait_for(unsigned reader, std::uint64_t offset, std::size_t want,
                                                    deadline until);

    // With the mutex held.
    [[nodiscard]] std::optional<piece> look(unsigned reader, std::uint64_t offset, std::size_t want);
    [[nodiscard]] std::uint64_t fastest() const;
    [[nodiscard]] bool wanted() const { return wanted_within(limits::s3_read_ahead_bytes); }
    [[nodiscard]] bool wanted_within(std::size_t ahead) const;
    /// Whether a reader waits for what comes next.
    [[nodiscard]] bool waited_for() const;
    /// But nothing that a read under way is about to take.
    void drop_front(std::uint64_t upto);
    /// Whether that is the case for the first piece.
    [[nodiscard]] bool front_is_being_read() const;
    [[nodiscard]] std::vector<one_shot<bool>> take_ready();
    [[nodiscard]] std::optional<one_shot<bool>> take_sleeper();

    const std::shared_ptr<s3_core> core_;
    const fetch_target what_;

    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::shared_ptr<loop_task> task_;
    std::map<unsigned, std::uint64_t> readers_;  ///< Where each one is.
    unsigned next_reader_ = 0;
    bool keeps_for_newcomers_ = true;
    bool over_ = false;  ///< Ended, or left by its last reader.
    std::optional<error> failed_;
    std::optional<keepstore::s3::object_info> info_;
    std::vector<one_shot<bool>> openers_;
    std::optional<result<keepstore::s3::object_info>> marker_;  ///< It, or that there is none.
    bool marker_asked_ = false;
    std::vector<one_shot<keepstore::s3::object_info>> marker_wanted_;
    std::uint64_t next_ = 0;  ///< Everything before has come; pieces_ has the last of it.
    std::uint64_t end_ = 0;   ///< Known once info_ is.
    std::deque<kept> pieces_;
    std::vector<waiter> waiters_;
    std::multiset<std::uint64_t> reading_;   ///< Offsets of the reads under way.
    std::optional<one_shot<bool>> sleeper_;  ///< The task, when nobody wants more.
};

}  // namespace keepstore::volumes::s3
