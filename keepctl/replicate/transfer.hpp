/// Brings one block after the other from a place to another: from the first server with a good copy to as many servers
/// as should have it, in several attempts, past servers that are paused (cluster/server_health.hpp).
///
///     to a volume   source ──► chunks ──► MD5 and volume concurrently ──► length, MD5 and end agree ──► commit
///
///     to servers    source ──► chunks ──► PUT ──► length and end agree ──► last byte ──► locator with the MD5
///                                          │
///                                          └──► "other MD5" ──► read again, with MD5 here ──┬──► bad source
///                                                                                           └──► damaged on the way
///
/// A keepstore computes the MD5 of what it stores, refuses what is not the block, and responds with the digest: it
/// proves the block, over the bytes that have come there. Another digest here, of a block from wherever, would be most
/// of the CPU time of a copy and prove less. So bytes that are not the block do travel, and are found there; what is
/// wrong is found out by a second reading, which only such blocks cost.
///
/// A block that several servers should have is read once (stream_tee.hpp).
///
/// Used from one event loop; any number of coroutines call copy() at the same time. Outlives them.
#pragma once

#include "base/async_condition.hpp"
#include "base/deadline.hpp"
#include "base/rate_limiter.hpp"
#include "digest/engine.hpp"
#include "keepctl/cluster/block_place.hpp"
#include "keepctl/cluster/limits.hpp"
#include "keepctl/cluster/server_health.hpp"
#include "keepctl/replicate/run_observer.hpp"
#include "keepctl/replicate/stream_tee.hpp"
#include "pool/buffer_pool.hpp"

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace keepstore::keepctl {

/// A block that a destination lacks, in part or as a whole.
struct wanted_block {
    block_id block;
    std::vector<std::uint32_t> other_sizes = {};  ///< That copies of the source have: all but one are wrong.
    /// The size of the destination's copy, where it is not known to be the block: verified before anything else.
    std::optional<std::uint32_t> target_size = {};
    bool sizes_differ = false;  ///< ... because the source has the name with two sizes.
    store_plan plan = {};       ///< What is left of it: replicas that were stored are taken off.
};

/// deferred: each server that could take or give it is paused, while others of its place work. cancelled: also when the
/// run is to stop.
enum class copy_end : unsigned char { copied, present, gone, bad_source, failed, deferred, cancelled };

struct copy_outcome {
    copy_end end;
    error why = errc::cancelled;
    bool may_pass = false;    ///< Another attempt may succeed.
    bool ends_run = false;    ///< No other block would succeed.
    std::string server = {};  ///< Whose failure it is, if it is that of one.
};

class transfer {
  public:
    struct options {
        std::size_t memory_bytes = limits::keepctl_memory_default / 2;
        unsigned digest_threads = 1;
        std::uint64_t bandwidth = 0;  ///< Bytes per second that are read from the source; 0: no limit.
        /// A server that fails for this long without a success ends the run.
        std::chrono::nanoseconds give_up_after = limits::give_up_after_default;
    };

    /// All must outlive it. Both places are connected.
    transfer(block_place& source, block_place& target, const options& given, run_observer& observer);

    /// Copies a block, in up to limits::block_attempts_max attempts; time that it waits for paused servers does not
    /// count. `may_defer`: does not wait for them while others of the place work.
    [[nodiscard]] awaitable<copy_outcome> copy(wanted_block& wanted, bool may_defer);

    /// Ends all waits, and begins no more attempts.
    void stop();
    /// Number of coroutines that wait for a paused server.
    [[nodiscard]] std::size_t waiting() const noexcept { return waiting_; }

  private:
    using health_list = std::vector<server_health>;
    /// One attempt. `paused` is set if it ends with `deferred`.
    struct attempt_state {
        deadline until;
        bool is_last;
        server_health* paused = nullptr;
        const health_list* place = nullptr;  ///< The servers that it is one of.

        void hold(server_health& server, const health_list& its_place);
        [[nodiscard]] bool others_work() const;
    };

    /// A server that gets the block, and what came of it.
    struct destination {
        store_target to;
        result<std::int64_t> stored = fail(errc::cancelled);  ///< Replicas.
        bool source_failed = false;
        std::optional<copy_outcome> end = {};  ///< Copied or failed; none if the source has failed.
    };

    awaitable<copy_outcome> copy_of_size(wanted_block& wanted, bool may_defer);
    awaitable<copy_outcome> attempt(wanted_block& wanted, attempt_state& state);
    awaitable<std::optional<copy_outcome>> verify_target(const wanted_block& wanted, attempt_state& state);
    [[nodiscard]] std::vector<destination> next_destinations(const store_plan& plan, std::vector<std::uint16_t>& passed,
                                                             attempt_state& state);
    awaitable<std::optional<copy_outcome>> copy_to(block_id block, std::span<destination> to, attempt_state& state);
    awaitable<void> read_from(protocol::block_source& source, std::span<destination> to, block_id block,
                              deadline until);
    awaitable<void> store_on(std::span<destination> to, block_id block, protocol::block_stream& bytes, deadline until);
    awaitable<void> store_branch(destination& to, block_id block, stream_tee::branch& bytes, deadline until);
    awaitable<result<void>> verify(block_place& place, health_list& health, block_id block, attempt_state& state);
    awaitable<result<void>> prove(block_place& place, block_id block, std::size_t number, server_health& health,
                                  deadline until);
    void end_damaged(std::span<destination> to);
    awaitable<error> reason_of_failure(block_place& place, block_id block, std::size_t number, error cut,
                                       server_health& health, deadline until);
    awaitable<copy_outcome> wait_for(server_health& server);
    [[nodiscard]] copy_outcome outcome_of_source(error why, const attempt_state& state) const;
    void note(server_health& server, const error& why);
    void note_success(server_health& server);
    void wake();

    block_place& source_;
    block_place& target_;
    const options options_;
    run_observer& observer_;
    digest::engine engine_;
    pool::buffer_pool pool_;
    rate_limiter bandwidth_;
    health_list source_health_;
    health_list target_health_;
    std::mutex mutex_;  // For the condition: one thread runs it all.
    async_condition changed_{mutex_};
    std::size_t waiting_ = 0;
    bool stopping_ = false;
};

}  // namespace keepstore::keepctl
