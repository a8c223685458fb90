/// One GET or HEAD: finds the block on the mounts, verifies while sending, withholds the last piece until the digest
/// agrees, and changes to another copy when one turns out bad. Used once, by one coroutine.
#pragma once

#include "keepstore/block_store.hpp"

namespace keepstore::core {

class read_operation {
  public:
    read_operation(block_store& store, const block_read_request& request, block_sink& sink)
        : store_(store), request_(request), sink_(sink) {}

    [[nodiscard]] awaitable<result<std::uint64_t>> run();

  private:
    enum class verdict {
        sent,      ///< All of it, verified.
        bad_copy,  ///< This copy is wrong or unreadable; another one may go on from sent_.
        gave_up,   ///< The client or the deadline ended it; failure_ says why.
    };

    awaitable<result<std::unique_ptr<volumes::block_reader>>> open(const mount&);
    awaitable<verdict> send_copy(const mount&, volumes::block_reader&);
    awaitable<verdict> send_small(const mount&, volumes::block_reader&);
    awaitable<verdict> send_large(const mount&, volumes::block_reader&);
    awaitable<result<std::size_t>> read(volumes::block_reader&, std::uint64_t offset, const mutable_slice& into);
    awaitable<bool> send(const const_slice& bytes);
    verdict give_up(error why);
    verdict bad(const mount&, std::string_view what, error why);
    void remember(error why);

    block_store& store_;
    const block_read_request& request_;
    block_sink& sink_;

    bool begun_ = false;           // sink_.begin() was called.
    std::uint64_t sent_ = 0;       // Bytes that went to the sink; a multiple of the chunk size until the last piece.
    digest::md5_state sent_state_; // Chaining state of what was sent.
    error failure_{errc::not_found};
};

}  // namespace keepstore::core
