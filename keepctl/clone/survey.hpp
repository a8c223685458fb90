/// First looks at a bucket, before a clone begins.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "keepctl/clone/clone_bucket.hpp"

#include <cstdint>

namespace keepstore::keepctl {

/// Number of hex digits to cut the source by: 0 if one page has all of the bucket.
[[nodiscard]] awaitable<result<unsigned>> clone_digits(const clone_bucket& source, deadline until);

/// Whether there is a block, or with `trash` one in the trash. Also shows whether the bucket answers and lets us in.
[[nodiscard]] awaitable<result<bool>> has_blocks(const clone_bucket& bucket, bool trash, deadline until);

/// Whether the bucket has no object at all, by a listing of one key.
[[nodiscard]] awaitable<result<bool>> is_empty(const clone_bucket& bucket, deadline until);

/// Counts the keys that begin neither with a hex digit nor with recent/ or trash/: listings of segments do not see
/// them. Stops after limits::clone_foreign_pages_max pages.
[[nodiscard]] awaitable<result<std::uint64_t>> count_foreign(const clone_bucket& bucket, deadline until);

}  // namespace keepstore::keepctl
