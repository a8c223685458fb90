/// One PUT: streams the body through the digest and, at the same time, to every volume that takes part. A volume that
/// has the block already compares it piece by piece; one that has not writes it; one that fails is replaced by the next
/// candidate, fed from another target. Nothing becomes visible before the digest of the whole body agrees with the
/// name. Used once, by one coroutine.
///
///   write_operation.cpp   chooses the targets, receives the body and feeds them
///   replace_target.cpp    turns comparing targets into writing ones, and replaces failed ones
///   commit_targets.cpp    makes the block visible and durable
///
/// An error of a function ends the PUT. A volume that fails does not: its target fails, and that is in its phase.
///
/// Memory (docs/memory.md): a PUT waits for a chunk holding none that it could give back. Before such a wait it waits
/// until its digest and its writers are done with what they have (release_memory). A target that failed releases its
/// queue at once, unless it is the only one that has the first bytes of the body. A small body is kept while memory is
/// plenty (kept_body.hpp).
#pragma once

#include "base/async.hpp"
#include "base/byte_stream.hpp"
#include "digest/engine.hpp"
#include "store/context.hpp"
#include "store/requests.hpp"
#include "store/write/kept_body.hpp"
#include "store/write/put_plan.hpp"

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <set>
#include <vector>

namespace keepstore::store {

class write_operation {
  public:
    write_operation(store_context& store, const block_write_request& request, byte_source& source);

    [[nodiscard]] awaitable<result<block_write_response>> run();

  private:
    /// What a volume that takes part does.
    ///
    ///   comparing ─┬─ equal to the end, and touched ───────────────► committed
    ///              └─ differs, ends, cannot be read, or is trashed ─► writing
    ///   writing ───── all written and durable ─────────────────────► committed
    ///   comparing, writing ── the volume fails ─────────────────────► failed
    enum class phase { comparing, writing, committed, failed };

    /// Between two pieces of the body every target that has not failed has had exactly the first length_ bytes, and of
    /// those that have failed only what is needed to replace them is left: nothing if another target has the bytes.
    struct target {
        const mount* where = nullptr;
        phase now = phase::writing;
        /// comparing: the stored copy, of which the first length_ bytes are the body's. writing: the copy that is being
        /// replaced, if there is one. failed: if set, its first bytes may still feed another target.
        std::unique_ptr<volumes::block_reader> stored = nullptr;
        /// writing. failed: if set it may still be read back.
        std::unique_ptr<volumes::block_writer> writer = nullptr;
        /// It began with a stored copy: the body is a block that is there already.
        bool compared = false;
        /// failed, since the volume stalled while there was an alternative: it may be used again if that fails as well.
        bool gave_up = false;
        /// The stored copy differs from the body after these bytes, to the chunk: it is corrupt, or they collide.
        /// Absent for one that is replaced since its volume did not respond: it may be good.
        std::optional<std::uint64_t> differs_from = {};
    };

    // write_operation.cpp
    awaitable<result<void>> choose_targets();
    [[nodiscard]] std::size_t digest_queue_bytes() const noexcept;
    awaitable<result<void>> receive();
    awaitable<result<mutable_slice>> next_chunk(std::size_t& filled, bool& end);
    void keep(const const_slice& piece, bool end);
    awaitable<result<void>> feed(const const_slice& piece);
    awaitable<result<void>> feed_one(target&, const const_slice& piece);
    /// \returns whether the volume can take the block.
    awaitable<result<bool>> add_writer(const mount&);
    /// Whether the PUT can be completed without this mount, as far as the states of the others tell.
    [[nodiscard]] bool has_alternative(const mount&) const;
    /// For calls to the mount's volume.
    [[nodiscard]] deadline until_for(const mount&) const;
    awaitable<result<void>> release_memory();
    /// Ends what the target does. \returns false; errc::cancelled, which ends the PUT instead.
    result<bool> fail_target(target&, const error& why);
    void drop_failed() noexcept;
    /// Remembers why a volume did not take something. \returns as fail_target().
    result<bool> note_failure(const error& why);
    [[nodiscard]] put_plan plan_of(std::initializer_list<phase>) const;
    [[nodiscard]] error nothing_stored() const;

    // replace_target.cpp
    awaitable<result<bool>> start_writing(target&, std::uint64_t upto);
    awaitable<result<bool>> copy_prefix(target& to, std::uint64_t upto);
    struct destination {
        volumes::block_writer& writer;
        deadline until;
    };
    awaitable<result<bool>> append_to(destination to, const const_slice& piece);
    awaitable<result<bool>> append_kept(destination to, std::uint64_t upto);
    awaitable<result<bool>> copy_from(target& from, destination to, std::uint64_t upto);
    awaitable<result<bool>> is_body_prefix(digest::md5_stream& copied, std::uint64_t length);
    awaitable<result<void>> replace_failed(const const_slice* piece);
    [[nodiscard]] bool may_replace(const mount&, bool waits) const;
    /// \returns whether a target was added that has all of the body so far.
    awaitable<result<bool>> add_replacement(const mount&, const const_slice* piece);
    awaitable<result<bool>> compare_instead(const mount&, const const_slice* piece);
    awaitable<result<bool>> begins_as_body(volumes::block_reader&, deadline until);
    awaitable<result<bool>> feed_replacement(target&, const const_slice* piece);

    // commit_targets.cpp
    awaitable<result<void>> commit_all();
    awaitable<result<void>> commit(target&);
    awaitable<result<void>> check_replaced_copies();
    awaitable<result<bool>> is_collision(volumes::block_reader&);

    store_context& store_;
    const block_write_request& request_;
    byte_source& source_;
    const std::vector<const mount*> candidates_;

    std::vector<std::unique_ptr<target>> targets_;
    std::set<const mount*> refused_;  // Their volumes did not take the block.
    bool source_lost_ = false;        // The beginning of the body could not be read from where it was last tried.
    digest::md5_stream digest_;
    bool digest_finished_ = false;                     // And it agrees with the name.
    std::uint64_t length_ = 0;                         // Of the body so far; whole chunks until it ends.
    std::optional<std::vector<std::byte>> waypoints_;  // Encoded, once digest_finished_.
    bool all_full_ = true;                             // No candidate failed for another reason than lack of space.
    kept_body kept_;
};

}  // namespace keepstore::store
