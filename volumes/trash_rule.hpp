/// Decides about trash: when a block may be trashed, and when its trash copy may be deleted. Pure functions of times,
/// used by the store for trash lists and by every driver (docs/interface.md 4.5).
///
/// The rule: a block is trashed only if its mtime is at least `protect_for` (BlobSigningTTL) ago. A signature is valid
/// for that long, storing and touching a block renew its mtime, and so no block is trashed that an unexpired signature
/// names.
///
/// Races with a PUT or touch, which renews the mtime:
/// - Trash list. It was made from an index that may be hours old. An item has the mtime of that index, and the block is
///   kept unless it still has exactly this mtime.
/// - Directory, between the check and the rename to the trash name: both happen under the block's lock, which touches
///   and commits take, too.
/// - S3, between the check and the deletion: there are no locks. Block and marker are looked at once more before the
///   deletion. What slips through leaves a trash copy that is younger than the marker's time plus `protect_for`
///   (`trashed_by_mistake`); reads, touches and the emptying of trash bring it back (docs/interface.md 4.6).
/// - S3, while the service shows old times: for `race_window` after a change.
///
/// Clocks: with a clock that was set back blocks and trash copies look younger, or from the future, and are kept for
/// longer. One that is set forward cannot be noticed here; the S3 driver passes the earlier of its own and the
/// service's time.
#pragma once

#include "volumes/volume.hpp"

#include <chrono>
#include <cstdint>
#include <optional>

namespace keepstore::volumes::trash_rule {

using std::chrono::nanoseconds;

/// Returns whether a block last written or touched at `mtime` may be trashed.
[[nodiscard]] constexpr bool may_trash(block_time mtime, block_time now, nanoseconds protect_for) noexcept {
    return mtime <= now - protect_for;
}

/// The same for an mtime cut to whole seconds: the block may be almost a second younger. Without protection
/// (`protect_for` 0) every block may be trashed, also one that was written within this second.
[[nodiscard]] constexpr bool may_trash_truncated(block_time mtime, block_time now, nanoseconds protect_for) noexcept {
    return protect_for <= nanoseconds::zero() || may_trash(mtime, now - std::chrono::seconds(1), protect_for);
}

/// Returns whether the stored mtime is the one that a trash list expects, if it does.
[[nodiscard]] constexpr bool has_expected_mtime(std::optional<block_time> expected, block_time mtime) noexcept {
    return !expected || *expected == mtime;
}

/// Returns whether trashing deletes the block for good, instead of moving it to the trash.
[[nodiscard]] constexpr bool deletes_at_once(nanoseconds lifetime) noexcept {
    return lifetime <= nanoseconds::zero();
}

/// Returns whether a copy trashed at `trashed_at` may be deleted (S3, where the copy has the time of its trashing).
[[nodiscard]] constexpr bool may_delete(block_time trashed_at, block_time now, nanoseconds lifetime) noexcept {
    return trashed_at <= now - lifetime;
}

/// Returns the second since 1970 from which on a block trashed now may be deleted (Directory, where it is part of the
/// trash copy's name). The end of the representable time for a lifetime that reaches beyond it.
[[nodiscard]] constexpr std::int64_t deletion_second(block_time now, nanoseconds lifetime) noexcept {
    const auto at = lifetime > block_time::max() - now ? block_time::max() : now + lifetime;
    return std::chrono::floor<std::chrono::seconds>(at).time_since_epoch().count();
}

/// Returns whether a trash copy with this deletion_second() may be deleted.
[[nodiscard]] constexpr bool may_delete(std::int64_t deletion_second, block_time now) noexcept {
    return deletion_second <= std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
}

/// Returns whether a race trashed the block (S3): by its marker's time `marked_at` it was still protected when its
/// trash copy was made.
[[nodiscard]] constexpr bool trashed_by_mistake(block_time marked_at, block_time trashed_at,
                                                nanoseconds protect_for) noexcept {
    return !may_trash(marked_at, trashed_at, protect_for);
}

/// Returns whether a marker of this time could let the block be trashed within `race_window` from now (S3): then
/// bringing the block back is not enough, and it has to be touched, too.
[[nodiscard]] constexpr bool protection_ends_within(nanoseconds race_window, block_time marked_at, block_time now,
                                                    nanoseconds protect_for) noexcept {
    return may_trash(marked_at, now + race_window, protect_for);
}

/// Returns whether a new trash copy may replace the one made at `trashed_at` (S3). Not if that one may be deleted
/// within `race_window`: a server that still sees its old time would then delete the new copy.
[[nodiscard]] constexpr bool may_replace_copy(nanoseconds race_window, block_time trashed_at, block_time now,
                                              nanoseconds lifetime) noexcept {
    return !may_delete(trashed_at, now + race_window, lifetime);
}

}  // namespace keepstore::volumes::trash_rule
