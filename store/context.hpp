/// The things that all operations of the store share: mounts, memory, digests, keys, counters. Owned by the
/// block_store, which hands it out by context(). An operation takes a `store_context&`, so that it depends on this and
/// not on the block_store. Safe to use from any thread: constant after construction, or guarded by itself.
#pragma once

#include "base/md5_digest.hpp"
#include "digest/engine.hpp"
#include "pool/buffer_pool.hpp"
#include "pool/lease_pool.hpp"
#include "protocol/signature.hpp"
#include "store/bad_copy_log.hpp"
#include "store/counters.hpp"
#include "store/limits.hpp"
#include "store/mount.hpp"
#include "store/read/read_window.hpp"
#include "store/write/kept_body.hpp"

#include <chrono>
#include <string>

namespace keepstore::store {

struct store_options {
    bool blob_signing = true;
    std::string blob_signing_key;
    /// BlobSigningTTL: signatures are valid for this long, so that blocks are protected from trash for as long.
    std::chrono::nanoseconds protect_for{};
    bool blob_trash = true;
    std::chrono::nanoseconds trash_lifetime{};  ///< 0 deletes at once.
    /// Not configurable: tests make them small.
    std::size_t copy_pool_bytes = limits::copy_pool_bytes;
    std::size_t scratch_pool_bytes = limits::scratch_pool_bytes;
    std::size_t kept_bodies_bytes = limits::kept_bodies_bytes_max;
};

struct store_context {
    /// `pool` and `engine` outlive it.
    store_context(store_options, mount_table, pool::buffer_pool&, digest::engine&);
    store_context(const store_context&) = delete;
    store_context& operator=(const store_context&) = delete;

    const store_options options;
    const mount_table mounts;
    const protocol::locator_signer signer;
    digest::engine& engine;

    /// The budget of all requests.
    pool::buffer_pool& request_pool;
    /// For copying from one volume to another during a PUT, which may hold chunks of request_pool already: a lease of
    /// limits::copy_lease_chunks for each copy (docs/memory.md).
    pool::lease_pool copy_pool;
    /// For reads that find no room in request_pool, or prove a stitched copy: a lease for each segment or piece.
    pool::lease_pool scratch_pool;
    store::read_window read_window;
    store::kept_bodies kept_bodies;  ///< In chunks of request_pool.

    store::bad_copy_log bad_copy_log;
    store_counters counters;
};

}  // namespace keepstore::store
