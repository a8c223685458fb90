/// One pass of a scrub over one volume: lists it step by step, and has every copy verified and repaired. Memory does
/// not grow with the volume.
///
///     lister ──► copies_   ──► limits::scrub_blocks_max checkers of single copies
///           └──► filling_ ──► batches_ ──► limits::scrub_batch_checkers checkers of batches of small ones
///
/// These coroutines run concurrently on the caller's executor; nothing here is locked. Every wait can be cancelled.
/// Whatever ends the pass early calls stop(), which closes both queues, so that all others end, too.
#pragma once

#include "base/async_queue.hpp"
#include "store/limits.hpp"
#include "store/scrub/copy_scrubber.hpp"

#include <map>
#include <optional>
#include <vector>

namespace keepstore::store {

class scrub_pass {
  public:
    /// `sources` are the mounts of other devices. All arguments must outlive the pass.
    scrub_pass(scrub_tools tools, const mount& where, std::vector<const mount*> sources)
        : tools_(tools), where_(where), scrubber_(tools, where, std::move(sources)) {}

    /// Goes on from the record's position to the end. \returns errc::cancelled, or an error of the volume as a whole;
    /// the record's position then says where to go on.
    [[nodiscard]] awaitable<result<void>> run();

    /// Saves the record with the volume, where that is possible.
    [[nodiscard]] static awaitable<void> save(const mount& where, const scrub_record& record, deadline until);

    /// Name under which a volume keeps the checkpoint of its scrub.
    static constexpr const char* checkpoint_name = "keepstore.scrub";

  private:
    struct listed_copy {
        volumes::block_info block;
        unsigned step;
    };
    struct listed_batch {
        verify_batch copies;
        std::vector<unsigned> steps;  // Of each copy.
    };
    class listing;

    [[nodiscard]] awaitable<void> list();
    [[nodiscard]] awaitable<result<void>> list_step(unsigned step);
    /// Waits while the checkers have enough to do. errc::cancelled, also after stop().
    [[nodiscard]] awaitable<result<void>> enqueue(listed_copy);
    [[nodiscard]] awaitable<result<void>> enqueue_small(listed_copy);
    [[nodiscard]] awaitable<void> check_copies();
    [[nodiscard]] awaitable<void> check_batches();
    [[nodiscard]] awaitable<result<void>> check_batch(const listed_batch&);
    [[nodiscard]] awaitable<void> save_if_due();
    void finish_one(unsigned step);
    void stop(error why);

    const scrub_tools tools_;
    const mount& where_;
    copy_scrubber scrubber_;

    // A copy is in exactly one of: copies_, filling_, a batch of batches_, the hands of a checker. The queues are open
    // until all is listed or stopped_ is set; what they hold after stop() is dropped.
    async_queue<listed_copy> copies_{limits::scrub_blocks_max};
    async_queue<listed_batch> batches_{limits::scrub_batches_listed_max - 1};
    listed_batch filling_;          // The lister's. Queued when full, and the last one when all is listed.
    std::optional<error> stopped_;  // The pass is to end.

    // Steps that were begun and are not done, each with the number of its copies that are not checked, plus one while
    // it is being listed. Never zero: a step leaves when its last copy is done. All steps before the first one here are
    // done, and so are all begun ones if there is none: that is the record's position. A dropped copy keeps its step
    // here, so the pass goes on before it.
    std::map<unsigned, unsigned> open_steps_;
    unsigned steps_begun_ = 0;

    std::chrono::steady_clock::time_point saved_at_{};
    bool saving_ = false;
};

}  // namespace keepstore::store
