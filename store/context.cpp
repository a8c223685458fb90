#include "store/context.hpp"

#include "store/limits.hpp"

#include <algorithm>
#include <utility>

namespace keepstore::store {

store_context::store_context(store_options o, mount_table m, pool::buffer_pool& pool, digest::engine& digests)
    : options(std::move(o)),
      mounts(std::move(m)),
      signer(options.blob_signing_key, std::chrono::floor<std::chrono::seconds>(options.protect_for)),
      engine(digests),
      request_pool(pool),
      copy_pool(options.copy_pool_bytes, [&digests] { digests.flush(); }),
      scratch_pool(options.scratch_pool_bytes, [&digests] { digests.flush(); }),
      read_window(std::min(limits::read_window_bytes, pool.snapshot().budget_bytes / 2), digests.lanes()),
      kept_bodies(std::min(options.kept_bodies_bytes, pool.snapshot().budget_bytes / 8)) {}

}  // namespace keepstore::store
