#include "net/tls/tls_client_stream.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

namespace keepstore::net {
namespace {

class plain_transport final : public transport {
  public:
    using transport::transport;

    io_outcome try_read(std::span<std::byte> into) noexcept override { return receive_from_socket(fd(), into, 0); }
    io_outcome try_write(std::span<const iovec> buffers) noexcept override { return send_to_socket(fd(), buffers); }
    bool is_quiet() noexcept override {
        std::byte one[1];
        return receive_from_socket(fd(), one, MSG_PEEK).status == io_status::want_read;
    }
};

}  // namespace

void transport::abandon() noexcept {
    const linger at_once{1, 0};
    ::setsockopt(fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

std::unique_ptr<transport> make_plain_transport(transport::socket_type socket) {
    return std::make_unique<plain_transport>(std::move(socket));
}

}  // namespace keepstore::net
