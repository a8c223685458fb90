/// Complete listings of one shard of one or more places. A listing that did not end as it must is tried again, and then
/// an error: nothing is ever concluded from what it lacks.
#pragma once

#include "keepctl/cluster/block_place.hpp"
#include "keepctl/cluster/exit_code.hpp"

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace keepstore::keepctl {

/// One place and its entries, sorted.
struct place_listing {
    block_place* place = nullptr;
    std::vector<entry> entries = {};
    result<void> end = success();
    listing_notes notes = {};
};

/// Calls `once` in up to limits::listing_attempts_max attempts, with pauses, until it succeeds, is cancelled, or fails
/// for good. Awaited in place; `once` makes a new coroutine each time, and begins anew.
[[nodiscard]] awaitable<result<void>> list_in_attempts(std::function<awaitable<result<void>>()> once);

/// Lists all of them concurrently, each in up to limits::listing_attempts_max attempts. Awaited in place.
/// \returns the first error.
[[nodiscard]] awaitable<result<void>> list_places(std::span<place_listing> places, std::string prefix);

/// Number of entries of all places together, estimated from one shard of three digits, or of one if there are few.
[[nodiscard]] awaitable<result<std::uint64_t>> estimate_entries(std::span<place_listing> places);

/// Number of hex digits to cut by for this many entries; at least 1, so that a run that is killed does not begin again
/// from the start.
[[nodiscard]] unsigned digits_for(std::uint64_t entries);

/// Both.
[[nodiscard]] awaitable<result<unsigned>> estimate_digits(std::span<place_listing> places);

/// The exit code when a listing failed with this error: refused as a whole before anything was done, else a part that
/// could not be looked at.
[[nodiscard]] inline exit_code not_listed(const error& why, bool nothing_done) noexcept {
    return nothing_done && is_final(why) ? exit_code::unreachable : exit_code::not_finished;
}

}  // namespace keepstore::keepctl
