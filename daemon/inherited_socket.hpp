/// The listening socket that the service manager opened and passes on (socket activation, sd_listen_fds(3)). It stays
/// open while the daemon restarts, so connections wait in its queue instead of being refused. Used by the main thread
/// at the start.
#pragma once

#include "base/unique_fd.hpp"
#include "cluster_config/listen_address.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <expected>
#include <string>
#include <utility>

namespace keepstore::daemon {

class inherited_socket {
  public:
    /// Takes the socket of LISTEN_FDS, if there is one, and removes the variables from the environment. \returns one
    /// line for the operator if there are several, or it is no listening TCP socket.
    [[nodiscard]] static std::expected<inherited_socket, std::string> take();

    /// Compares a listen URL with the address of the socket instead of binding: the same address and port, or all
    /// addresses and the same port. Without a socket it is cluster_config::probe_bind. Must not outlive this.
    [[nodiscard]] cluster_config::bind_probe probe() const;

    /// Hands the socket over; an empty descriptor if there is none.
    [[nodiscard]] unique_fd release() noexcept { return std::move(fd_); }

  private:
    boost::asio::ip::tcp::endpoint where_;
    unique_fd fd_;
};

}  // namespace keepstore::daemon
