/// One GET or HEAD: finds the block on the mounts and sends it, every byte proven before it leaves where the copy has
/// waypoints, else hashed while it is sent with the last piece withheld until the digest agrees. Changes to another
/// copy when one turns out bad or unreadable, also in mid-stream; when all are bad, to the parts of them that are
/// right. Used once, by one coroutine.
#pragma once

#include "base/async.hpp"
#include "base/byte_stream.hpp"
#include "store/context.hpp"
#include "store/requests.hpp"
#include "store/verify/copy_check.hpp"
#include "store/verify/segment.hpp"

#include <vector>

namespace keepstore::store {

class verified_copy;

class read_operation {
  public:
    read_operation(store_context& store, const block_read_request& request, byte_sink& sink)
        : store_(store), request_(request), sink_(sink) {}

    [[nodiscard]] awaitable<result<std::uint64_t>> run();

  private:
    enum class verdict {
        sent,       ///< All of it, verified.
        bad_copy,   ///< This copy is wrong or unreadable; another one may go on from sent_.
        gave_up,    ///< The client or the deadline ended it; failure_ says why.
        undecided,  ///< The copy must be hashed from end to end before more of it can be sent.
        slow,       ///< The client does not keep up with a stream, which cannot be read again: go on serially.
    };

    awaitable<result<std::unique_ptr<volumes::block_reader>>> open(const mount&);
    [[nodiscard]] std::vector<const mount*> reading_order() const;
    awaitable<verdict> send_from_one(const std::vector<const mount*>&);
    awaitable<verdict> send_from_several(const std::vector<const mount*>&);
    [[nodiscard]] bool may_be_patched() const;
    awaitable<verdict> send_copy(volumes::block_reader&);
    awaitable<verdict> check_only(volumes::block_reader&);
    awaitable<verdict> send_small(volumes::block_reader&);
    awaitable<verdict> send_large(volumes::block_reader&);
    awaitable<verdict> send_serially(volumes::block_reader&, std::optional<digest::waypoints>& found);
    awaitable<verdict> send_verified(volumes::block_reader&, const digest::waypoints&);
    awaitable<verdict> send_from(verified_copy&, bool streams);
    awaitable<verdict> find_waypoints(volumes::block_reader&, std::optional<digest::waypoints>& found);
    awaitable<void> keep_waypoints(volumes::block_reader&, const digest::waypoints&);
    awaitable<bool> begin(std::uint64_t size);
    verdict stopped(const verified_copy&, error why);
    verdict give_up(error why);
    verdict unusable(std::uint64_t offset, error why);
    verdict bad(std::string_view what, std::uint64_t offset, error why);
    void remember(error why);
    /// What goes to the client of a block of this size.
    [[nodiscard]] byte_range wanted(std::uint64_t size) const;
    [[nodiscard]] proven_state start_of(const digest::waypoints&, const byte_range& body) const;
    [[nodiscard]] std::uint64_t proven() const { return proof_ ? proof_->offset : 0; }

    store_context& store_;
    const block_read_request& request_;
    byte_sink& sink_;

    std::size_t copies_ = 0;        // That could be opened.
    const mount* where_ = nullptr;  // Whose copy is being read; none while it is parts of several.
    bool begun_ = false;            // sink_.begin() was called.
    std::uint64_t size_ = 0;        // Once begun: of the block.
    std::uint64_t sent_ = 0;        // Once begun: up to where in the block bytes went to the sink.
    // Once begun: what vouches for the bytes that were sent, at a boundary not behind sent_.
    std::optional<proven_state> proof_;
    std::uint64_t suspect_ = 0;  // Where a copy disagreed with its waypoints.
    error failure_{errc::not_found};
};

}  // namespace keepstore::store
