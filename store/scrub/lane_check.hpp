/// Whether a stored copy agrees with its waypoints, checked with as little processor time as possible and without
/// haste, for the scrub: so much of it is read before it is hashed that every lane of the digest engine has work.
/// check_copy, which is for requests, begins to hash as soon as anything is there, and leaves most lanes empty when it
/// waits for a disk.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "base/md5_digest.hpp"
#include "digest/engine.hpp"
#include "digest/waypoints.hpp"
#include "pool/buffer_pool.hpp"
#include "volumes/volume.hpp"

namespace keepstore::store {

/// Takes up to limits::scrub_lanes chunks of the pool, one after the other, while it holds those before; the pool must
/// have as many for each check that runs at the same time. Reads run side by side. Awaited in place.
/// \returns whether every segment agrees: then the copy is good. If not, its bytes or its waypoints are wrong, which
/// check_copy finds out. errc::cancelled; checksum_mismatch if the copy is shorter than its size; errors of the volume.
[[nodiscard]] awaitable<result<bool>> agrees_with_waypoints(pool::buffer_pool& pool, digest::engine& engine,
                                                            volumes::block_reader& copy,
                                                            const digest::waypoints& points, const md5_digest& name,
                                                            deadline until);

}  // namespace keepstore::store
