/// What a scrub does with one copy: verify, store missing waypoints, repair, record. Used on one loop; several calls
/// may run concurrently.
#pragma once

#include "base/async_semaphore.hpp"
#include "base/rate_limiter.hpp"
#include "pool/lease_pool.hpp"
#include "store/context.hpp"
#include "store/limits.hpp"
#include "store/scrub/scrub_clock.hpp"
#include "store/scrub/scrub_repair.hpp"
#include "store/scrub/scrub_status.hpp"
#include "store/scrub/verify_batch.hpp"
#include "store/verify/verify_copy.hpp"

#include <vector>

namespace keepstore::store {

struct scrub_tools {
    store_context& store;
    pool::lease_pool& check_pool;   ///< limits::scrub_pool_bytes.
    pool::lease_pool& repair_pool;  ///< limits::repair_pool_bytes.
    rate_limiter& rate;
    scrub_clock& clock;
    scrub_record& record;
};

class copy_scrubber {
  public:
    /// `sources` are the mounts of other devices. All arguments must outlive it.
    copy_scrubber(scrub_tools tools, const mount& where, std::vector<const mount*> sources)
        : tools_(tools),
          where_(where),
          sources_(std::move(sources)),
          rules_{reads_, tools.rate, tools.clock, tools.record} {}

    /// Brings one copy to its end: good, repaired, recorded as irreparable, or gone. Awaited in place.
    /// \returns errc::cancelled, or an error that ends the pass: the volume does not respond, or reads nothing.
    [[nodiscard]] awaitable<result<void>> scrub(const volumes::block_info& listed);

    /// Verifies small copies together, and records the good ones. Awaited in place.
    /// \returns for each whether it is good; the others are to be scrubbed one by one. errc::cancelled.
    [[nodiscard]] awaitable<result<std::vector<bool>>> scrub_batch(const verify_batch& batch);

    /// Sleeps before the next attempt at a volume that does not respond: 1, 2, 4, ... times limits::scrub_pause_min.
    /// \returns false if the caller was cancelled.
    [[nodiscard]] awaitable<bool> back_off(unsigned attempt);

  private:
    enum class state {
        good,        // Next: the next copy.
        gone,        // Trashed since it was listed. Next: the next copy.
        bad,         // Next: repair it, unless it was replaced meanwhile.
        unreadable,  // The same; after limits::scrub_unreadable_in_a_row_max of them the volume is broken.
        cancelled,   // Nothing is known. Next: end the pass.
    };
    struct finding {
        state is = state::good;
        std::uint64_t size = 0;
        std::uint64_t offset = 0;  // Where the damage begins, as far as known.
        std::string problem;
        error why{errc::io_error};
    };

    [[nodiscard]] awaitable<finding> inspect(const md5_digest& name);
    [[nodiscard]] awaitable<copy_report> verify(volumes::block_reader&, const md5_digest& name);
    [[nodiscard]] awaitable<repair_report> repair(const md5_digest& name, volumes::block_time seen);
    void record_repaired(const md5_digest& name, const repair_report&);

    const scrub_tools tools_;
    const mount& where_;
    const std::vector<const mount*> sources_;
    unsigned unreadable_in_a_row_ = 0;
    async_semaphore reads_{limits::scrub_reads_max};
    const scrub_reader::rules rules_;
};

}  // namespace keepstore::store
