/// Verifies blocks of places: a server reads and hashes its copies itself, copies of other places are read and hashed
/// here. Used from one event loop; any number of coroutines call verify() at the same time. Outlives them.
#pragma once

#include "digest/engine.hpp"
#include "keepctl/cluster/block_place.hpp"
#include "pool/buffer_pool.hpp"

#include <cstddef>

namespace keepstore::keepctl {

class block_verifier {
  public:
    /// `memory_bytes`: for the blocks that are read here, limits::keepctl_job_bytes_min for each call at a time.
    explicit block_verifier(std::size_t memory_bytes);

    /// Success: some server of the place has a good copy. Else the failure that leaves most open: any other one before
    /// checksum_mismatch (there are bad copies), and that before not_found. errc::cancelled. At most
    /// limits::keepctl_block_timeout for each server.
    [[nodiscard]] awaitable<result<void>> verify(block_place& place, block_id block);

  private:
    awaitable<result<void>> read(block_place& place, block_id block, std::size_t server);

    digest::engine engine_;
    pool::buffer_pool pool_;
};

}  // namespace keepstore::keepctl
