#include "net/http/stream.hpp"

#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

namespace keepstore::net {
namespace {

class plain_stream final : public stream {
  public:
    using stream::stream;

    io_outcome try_read(std::span<std::byte> into) noexcept override { return receive_from_socket(fd(), into, 0); }

    io_outcome try_write(std::span<const iovec> buffers) noexcept override {
        if (buffers.empty()) return {};
        const auto outcome = send_to_socket(fd(), buffers);
        count_sent(outcome.bytes);
        return outcome;
    }

    io_status peek() noexcept override {
        std::byte one[1];
        return receive_from_socket(fd(), one, MSG_PEEK).status;
    }
};

}  // namespace

bool stream::has_unread_input() const noexcept {
    int count = 0;
    return ::ioctl(fd_, FIONREAD, &count) == 0 && count > 0;
}

void stream::shutdown_send() noexcept {
    shutdown();
    ::shutdown(fd_, SHUT_WR);
}

void stream::close(bool reset) noexcept {
    if (reset) {
        const linger at_once{1, 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
    boost::system::error_code ignored;
    socket_.close(ignored);
}

std::size_t stream::unsent_bytes() const noexcept {
    int count = 0;
    return ::ioctl(fd_, SIOCOUTQ, &count) == 0 && count > 0 ? static_cast<std::size_t>(count) : 0;
}

void stream::limit_unsent(std::size_t bytes) noexcept {
    const int value = static_cast<int>(bytes);
    // On kernels without it slow readers cost more kernel memory; nothing else changes.
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, sizeof value);
}

std::uint64_t stream::acknowledged_bytes() const noexcept {
    const std::uint64_t unsent = unsent_bytes();  // Counts a FIN as one byte, hence the comparison.
    return unsent < sent_bytes_ ? sent_bytes_ - unsent : 0;
}

std::unique_ptr<stream> make_plain_stream(stream::socket_type socket) {
    return std::make_unique<plain_stream>(std::move(socket));
}

}  // namespace keepstore::net
