/// One read of a block of another cluster. Used once, by one coroutine. Servers are tried in probe order; the next one
/// continues where the last one failed, if its bytes up to there have the same MD5 state.
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
    /// What follows one server's response.
    enum class step {
        done,
        try_next,  // That server failed: failure_ says why.
        abandon,   // The error is ours or the client's: failure_. No other server is asked.
    };

    awaitable<result<void>> prepare();
    template <class Take>
    awaitable<result<void>> from_any_server(Take take);
    awaitable<step> take_and_send(protocol::incoming_block&, byte_sink&);
    awaitable<step> take_and_store(protocol::incoming_block&);
    void remember_sent(const digest::md5_stream&);
    awaitable<bool> agrees_with_sent(digest::md5_stream&);
    step failed(error why);
    step abandon(error why);
    [[nodiscard]] std::unexpected<error> refused(const error& why, std::string_view text) const;
    error wrong_bytes(const protocol::incoming_block&) const;

    remote_reader& home_;
    const remote_read_request& request_;
    protocol::remote_services* cluster_ = nullptr;
    protocol::block_fetch fetch_;

    error failure_{errc::not_found};     // After try_next or abandon.
    std::uint64_t size_ = 0;             // Of the block, once begun or stored.
    bool begun_ = false;                 // The sink's begin() was called.
    std::uint64_t sent_ = 0;             // Bytes that the sink has had: whole chunks.
    std::optional<proven_state> proof_;  // The MD5 state at sent_, once a server has failed after sending them.
    remote_reader::stored_copy stored_;
};

}  // namespace keepstore::store
