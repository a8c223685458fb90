/// One PUT: streams the body through the digest and, at the same time, to every volume that takes part. A volume that
/// has the block already compares it piece by piece; one that has not writes it; one that fails in mid-stream is
/// replaced by the next candidate, fed from whoever holds the bytes so far. Nothing becomes visible before the digest
/// of the whole body agrees with the name. Used once, by one coroutine.
#pragma once

#include "base/async.hpp"
#include "base/byte_stream.hpp"
#include "store/context.hpp"
#include "store/requests.hpp"
#include "store/write/put_plan.hpp"

#include <memory>
#include <optional>
#include <vector>

namespace keepstore::store {

class write_operation {
  public:
    write_operation(store_context& store, const block_write_request& request, byte_source& source);

    [[nodiscard]] awaitable<result<block_write_response>> run();

  private:
    // A volume taking part. It compares (reader set, writer not), writes (writer set), or has failed (neither counts).
    struct target {
        const mount* where = nullptr;
        std::unique_ptr<volumes::block_reader>
            reader;  // The copy that was there, also kept while it is being replaced.
        std::unique_ptr<volumes::block_writer> writer;
        bool bad_copy = false;           // The stored copy differs from the body: being replaced.
        std::uint64_t differs_from = 0;  // Where, to the chunk.
        bool failed = false;
        bool committed = false;

        [[nodiscard]] bool comparing() const noexcept { return reader && !writer && !failed; }
        [[nodiscard]] bool writing() const noexcept { return writer && !failed; }
    };

    awaitable<result<void>> choose_targets();
    [[nodiscard]] std::size_t digest_queue_bytes() const noexcept;
    awaitable<result<void>> receive();
    awaitable<result<mutable_slice>> next_chunk(std::size_t& filled, bool& end);
    awaitable<result<void>> feed(const const_slice& piece);
    awaitable<result<void>> feed_one(target&, const const_slice& piece);
    awaitable<result<void>> commit_all();
    awaitable<void> commit_one(target&);
    awaitable<result<bool>> is_collision(volumes::block_reader&);

    awaitable<bool> rewrite_bad_copy(target&, std::uint64_t upto);
    awaitable<bool> start_writing(target&, std::uint64_t upto);
    awaitable<bool> copy_prefix(target& to, std::uint64_t upto);
    awaitable<bool> copy_from(target& from, volumes::block_writer& to, std::uint64_t upto);
    awaitable<result<void>> replace_failed(std::uint64_t upto, const const_slice* piece);
    awaitable<bool> add_writer(const mount&);
    void fail_target(target&, const error& why);
    void note_failure(const error& why);
    [[nodiscard]] put_plan plan_of_live_targets() const;
    [[nodiscard]] bool any_live() const;
    [[nodiscard]] error nothing_stored() const;

    store_context& store_;
    const block_write_request& request_;
    byte_source& source_;
    const std::vector<const mount*> candidates_;

    std::vector<std::unique_ptr<target>> targets_;
    digest::md5_stream digest_;
    bool digest_finished_ = false;  // And it agrees with the name.
    std::uint64_t length_ = 0;      // Bytes that every live target has been fed; whole chunks until the body ends.
    std::optional<std::vector<std::byte>> waypoints_;  // Encoded, once digest_finished_.
    bool all_full_ = true;                             // No candidate failed for another reason than lack of space.
    std::optional<error> cancelled_;                   // The request is over; no volume is to blame.
};

}  // namespace keepstore::store
