#include "net/http/socket_io.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>

namespace keepstore::net {

io_outcome send_to_socket(int fd, std::span<const iovec> buffers) noexcept {
    msghdr message{};
    // sendmsg() does not write to the vectors.
    message.msg_iov = const_cast<iovec*>(buffers.data());
    message.msg_iovlen = buffers.size();
    while (true) {
        const auto n = ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) return {io_status::ok, static_cast<std::size_t>(n)};
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) return {io_status::want_write, 0};
        return {io_status::failed, 0};
    }
}

io_outcome receive_from_socket(int fd, std::span<std::byte> into, int flags) noexcept {
    if (into.empty()) return {};
    while (true) {
        const auto n = ::recv(fd, into.data(), into.size(), flags | MSG_DONTWAIT);
        if (n > 0) return {io_status::ok, static_cast<std::size_t>(n)};
        if (n == 0) return {io_status::closed, 0};
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) return {io_status::want_read, 0};
        return {io_status::failed, 0};
    }
}

}  // namespace keepstore::net
