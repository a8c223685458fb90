/// OpenSSL directly on a non-blocking socket, for both ends of TLS: its own socket BIO would raise SIGPIPE, and Asio's
/// stream would hold 34 KiB of buffers for each idle connection.
#pragma once

#include <cstdint>

struct bio_st;

namespace keepstore::net {

struct socket_wire {
    int fd;
    std::uint64_t* sent_bytes = nullptr;  ///< If given, what goes to the socket is added to it.
};

/// For SSL_set_bio, which takes it over. `wire` stays the caller's and must outlive it.
/// \throws std::bad_alloc.
[[nodiscard]] bio_st* make_socket_bio(const socket_wire& wire);

}  // namespace keepstore::net
