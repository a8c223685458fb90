/// The server's end of a TLS connection.
#pragma once

#include "net/http/stream.hpp"

#include <memory>

struct ssl_ctx_st;

namespace keepstore::net {

/// What its try_write() took and could not send is kept by the stream (has_pending_output()), so that the buffers are
/// the caller's again. A peer that speaks plain HTTP is told so, in plain text, and the handshake ends with
/// io_status::closed.
[[nodiscard]] std::unique_ptr<stream> make_tls_server_stream(stream::socket_type, ssl_ctx_st& context);

}  // namespace keepstore::net
