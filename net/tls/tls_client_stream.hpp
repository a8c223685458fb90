/// The client's end of a TLS connection.
///
/// After want_read or want_write from try_write() the next attempt must begin with the same bytes.
#pragma once

#include "net/http/url.hpp"
#include "net/tls/tls_client_context.hpp"
#include "net/tls/tls_stream.hpp"

#include <memory>
#include <span>
#include <string>

namespace keepstore::net {

class tls_client_stream final : public tls_stream {
  public:
    /// For a connection to this server, whose certificate must be for its name (unless the context is insecure).
    tls_client_stream(socket_type socket, const endpoint& to, std::shared_ptr<tls_client_context> context);

    io_status handshake() override;
    io_outcome try_write(std::span<const iovec> buffers) noexcept override;

    /// After a handshake that has failed: whether the server's certificate is the reason, and the reason in words.
    [[nodiscard]] bool certificate_rejected() const noexcept { return certificate_rejected_; }
    [[nodiscard]] const std::string& handshake_error() const noexcept { return error_; }

  private:
    void note_failure();

    session_key key_;
    bool ready_ = false;  ///< The server's name can be checked.
    bool certificate_rejected_ = false;
    std::string error_;
};

}  // namespace keepstore::net
