/// Merges the listings of one segment of two buckets by hash: up to six of them, in parallel, a page of each in memory.
/// Used by one coroutine.
#pragma once

#include "keepctl/clone/object_cursor.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>

namespace keepstore::keepctl {

/// What the two buckets have under one hash.
struct merged_block {
    md5_digest name;
    struct side {
        std::optional<object_cursor::object> block;
        std::optional<object_cursor::object> trash;
        bool marker = false;  ///< Where blocks have none: as if each had one.
    };
    side source;
    side target;
};

class segment_merge {
  public:
    struct inputs {
        const clone_bucket& source;
        const clone_bucket& target;
        object_cursor::lister list_source;
        object_cursor::lister list_target;  ///< Empty: the target is known to be empty, and is not listed.
        bool trash = false;                 ///< Also what is in the trash.
    };
    segment_merge(const inputs& from, const std::string& digits);

    /// Returns the next hash that the source has; nothing at the end. An error is final: a listing is incomplete.
    [[nodiscard]] awaitable<result<std::optional<merged_block>>> next(deadline until);

    /// Keys of the source that are neither blocks nor markers nor trash, so far.
    [[nodiscard]] std::uint64_t foreign() const noexcept;

  private:
    // Of the source, then of the target; absent: not listed.
    enum position : unsigned { block, marker, trash, target_block, target_marker, target_trash };
    using cursor = std::optional<object_cursor>;

    /// Loads what needs a page, all at once.
    [[nodiscard]] awaitable<result<void>> load(deadline until);
    [[nodiscard]] std::optional<md5_digest> first_of_source() const;
    [[nodiscard]] bool has(position which, const md5_digest& name) const;

    const bool source_markers_;
    const bool target_markers_;
    std::array<cursor, 6> cursors_;
};

}  // namespace keepstore::keepctl
