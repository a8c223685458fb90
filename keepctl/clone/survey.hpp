/// First looks at a bucket, before a clone begins.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "keepctl/clone/clone_bucket.hpp"

#include <cstdint>

namespace keepstore::keepctl {

/// Number of hex digits to cut the source by: 0 if one page has all of the bucket.
[[nodiscard]] awaitable<result<unsigned>> clone_digits(const clone_bucket& source, deadline until);

struct first_look {
    result<bool> source_has_blocks = false;  ///< Or, with `trash`, blocks in the trash.
    result<bool> target_is_empty = false;    ///< There is no object at all, by a listing of one key.
    result<unsigned> digits = 0U;
};
/// Finds out, concurrently, whether both buckets respond and let us in, and these facts.
[[nodiscard]] awaitable<result<first_look>> look_at(const clone_bucket& source, const clone_bucket& target, bool trash,
                                                    deadline until);

/// Counts the keys that begin neither with a hex digit nor with recent/ or trash/: listings of segments do not see
/// them. Stops after limits::clone_foreign_pages_max pages.
[[nodiscard]] awaitable<result<std::uint64_t>> count_foreign(const clone_bucket& bucket, deadline until);

}  // namespace keepstore::keepctl
