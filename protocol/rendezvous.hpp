/// Rendezvous hashing (highest random weight): every pair of a block and a uuid has a weight, so that clients and
/// servers agree on an order of volumes or services for each block without exchanging a list (docs/interface.md 3.4).
/// Adding or removing one of them moves only the blocks for which it comes first. A pure function.
#pragma once

#include "base/md5_digest.hpp"

#include <string_view>

namespace keepstore::protocol {

/// The part of a uuid that a weight depends on: the last 15 characters of an Arvados uuid, which has 27, else all.
[[nodiscard]] std::string_view rendezvous_tail(std::string_view uuid) noexcept;

/// MD5(block's name in hex, then the last 15 characters of `uuid`). Of a uuid that does not have the 27 characters of
/// Arvados ("zzzzz-bi6l4-000000000000000") all characters enter.
///
/// Volumes of a daemon are taken by weight ascending, services by Keep clients descending: both as the Go programs do.
[[nodiscard]] md5_digest rendezvous_weight(const md5_digest& block, std::string_view uuid);

}  // namespace keepstore::protocol
