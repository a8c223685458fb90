/// One pass of a scrub over one volume: lists it step by step, checks every copy, writes missing waypoints, repairs
/// what can be repaired, records the rest. Memory does not grow with the volume.
///
/// A lister, limits::scrub_blocks_max checkers of single blocks and limits::scrub_lane_checks of batches of small ones
/// run as coroutines side by side on the caller's executor; nothing here is locked. Everything that waits can be
/// cancelled.
#pragma once

#include "pool/buffer_pool.hpp"
#include "store/context.hpp"
#include "store/scrub/rate_limiter.hpp"
#include "store/scrub/scrub_clock.hpp"
#include "store/scrub/scrub_gate.hpp"
#include "store/scrub/scrub_repair.hpp"
#include "store/scrub/scrub_status.hpp"
#include "store/scrub/verify_batch.hpp"
#include "store/verify/copy_check.hpp"

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace keepstore::store {

class scrub_pass {
  public:
    struct tools {
        store_context& store;
        digest::engine& engine;
        pool::buffer_pool& check_pool;   ///< limits::scrub_pool_bytes.
        pool::buffer_pool& repair_pool;  ///< limits::copy_pool_bytes.
        scrub_pace& pace;
        scrub_clock& clock;
        scrub_record& record;
    };

    /// `sources` are the mounts of other devices. All arguments must outlive the pass.
    scrub_pass(tools t, const mount& where, std::vector<const mount*> sources)
        : tools_(t), where_(where), sources_(std::move(sources)), rules_{reads_, t.pace, t.clock, t.record} {}

    /// Goes on from the record's position to the end. \returns errc::cancelled, or what is wrong with the volume as a
    /// whole; the record's position then says where to go on.
    [[nodiscard]] awaitable<result<void>> run();

    /// Saves the record with the volume, where that is possible.
    [[nodiscard]] static awaitable<void> save(const mount& where, const scrub_record& record, deadline until);

    /// Name of the note in which a volume keeps the state of its scrub.
    static constexpr const char* note_name = "keepstore.scrub";

  private:
    using signal = one_shot<std::monostate>;
    struct item {
        volumes::block_info block;
        unsigned step;
    };
    struct small_items {
        copy_batch blocks;
        std::vector<unsigned> steps;  // Of each of them.
    };
    class listing;
    struct verdict;

    [[nodiscard]] awaitable<void> list();
    [[nodiscard]] awaitable<result<void>> list_step(unsigned step);
    [[nodiscard]] awaitable<result<void>> enqueue(item);
    /// \returns false if there is no room at present.
    [[nodiscard]] bool add_to_batch(const item&);
    [[nodiscard]] awaitable<void> check();
    [[nodiscard]] awaitable<std::optional<item>> next();
    [[nodiscard]] awaitable<void> check_batches();
    /// A full batch; the last one may be smaller.
    [[nodiscard]] awaitable<std::optional<small_items>> next_batch();
    /// \returns false if the pass is to end.
    [[nodiscard]] awaitable<bool> check_batch(const small_items&);
    [[nodiscard]] awaitable<void> save_now_and_then();
    /// \returns false if nothing is known because the pass is to end.
    [[nodiscard]] awaitable<bool> check_block(const volumes::block_info&);
    [[nodiscard]] awaitable<verdict> look_at(const md5_digest&);
    [[nodiscard]] awaitable<copy_report> check_copy_in_lanes(volumes::block_reader&, const md5_digest&);
    [[nodiscard]] awaitable<repair_report> repair(const md5_digest&, volumes::block_time seen);
    [[nodiscard]] awaitable<bool> pause(unsigned attempt);
    static void wake_one(std::deque<signal>& sleepers);
    static void wake_all(std::deque<signal>& sleepers);
    void wake_lister();
    void finish_one(unsigned step);
    void stop(error why);

    const tools tools_;
    const mount& where_;
    const std::vector<const mount*> sources_;

    std::deque<item> queue_;
    std::deque<small_items> batches_;  // The last one is being filled.
    std::deque<signal> idle_;          // Checkers without work.
    std::deque<signal> idle_batch_checkers_;
    std::optional<signal> blocked_;            // The lister, when the queue or the last batch is full.
    bool listed_ = false;                      // All of the volume.
    std::optional<error> stopped_;             // The pass is to end.
    std::map<unsigned, unsigned> open_steps_;  // Those begun and not done: what they still wait for.
    unsigned steps_begun_ = 0;
    unsigned unreadable_in_a_row_ = 0;
    scrub_gate reads_{limits::scrub_reads_max};
    scrub_gate lane_checks_{limits::scrub_lane_checks};
    scrub_gate repairs_{1};
    const scrub_reader::rules rules_;
    std::chrono::steady_clock::time_point saved_at_{};
    bool saving_ = false;
};

}  // namespace keepstore::store
