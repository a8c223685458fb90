/// One read of a block of another cluster. Used once, by one coroutine.
#pragma once

#include "protocol/remote_locator.hpp"
#include "protocol/retry_schedule.hpp"
#include "store/remote/remote_reader.hpp"
#include "store/verify/segment.hpp"

#include <optional>

namespace keepstore::store {

class remote_read_operation {
  public:
    remote_read_operation(remote_reader& home, const remote_read_request& request) : home_(home), request_(request) {}

    [[nodiscard]] awaitable<result<std::uint64_t>> send_to(byte_sink&);
    [[nodiscard]] awaitable<result<remote_reader::stored_copy>> store();

  private:
    enum class verdict { done, try_next, give_up };

    awaitable<result<void>> prepare();
    template <class Take>
    awaitable<result<void>> from_any_server(Take take);
    awaitable<verdict> take_and_send(protocol::incoming_block&, byte_sink&);
    awaitable<verdict> take_and_store(protocol::incoming_block&);
    void remember_sent(const digest::md5_stream&);
    awaitable<bool> agrees_with_sent(digest::md5_stream&);
    verdict failed(error why);
    [[nodiscard]] std::unexpected<error> refused(const error& why, std::string_view text) const;
    error wrong_bytes(const protocol::incoming_block&) const;

    remote_reader& home_;
    const remote_read_request& request_;
    protocol::remote_services* cluster_ = nullptr;
    protocol::block_fetch fetch_;

    error failure_{errc::not_found};     // After try_next (the server's) or give_up (ours).
    std::uint64_t size_ = 0;             // Of the block, once begun or stored.
    bool begun_ = false;                 // The sink's begin() was called.
    std::uint64_t sent_ = 0;             // Whole chunks that the sink has had.
    std::optional<proven_state> proof_;  // What they hash to, once a server has failed behind them.
    remote_reader::stored_copy stored_;
};

}  // namespace keepstore::store
