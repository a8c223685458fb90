/// Stands between a client and a server and can be told to refuse connections or to hang: an outage, and its end, as
/// the client sees it; or to be far away, where a connection is slow. Loopback only; threads with blocking sockets.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace keepstore::test {

class tcp_relay {
  public:
    explicit tcp_relay(std::uint16_t to) : to_(to), listener_(listen_on(0)), port_(port_of(listener_)) {
        acceptor_ = std::thread([this] { accept_all(); });
    }
    ~tcp_relay() {
        over_ = true;
        acceptor_.join();
        for (auto& t : pumps_) t.join();
        if (listener_ >= 0) ::close(listener_);
    }
    tcp_relay(const tcp_relay&) = delete;
    tcp_relay& operator=(const tcp_relay&) = delete;

    [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

    /// Nothing moves, nothing is closed; connections are still accepted by the kernel.
    void hang(bool on) { hung_ = on; }
    /// Connections are cut and new ones refused.
    void refuse(bool on) { refused_ = on; }
    /// Each connection carries no more, in each direction; 0: as much as comes.
    void limit_rate(std::size_t bytes_per_second) { rate_ = bytes_per_second; }

  private:
    static int listen_on(std::uint16_t port) {
        const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const int one = 1;
        ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        const sockaddr_in address = loopback(port);
        if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || ::listen(fd, 64) != 0) {
            throw std::runtime_error("the relay cannot listen");
        }
        return fd;
    }
    static sockaddr_in loopback(std::uint16_t port) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return address;
    }
    static std::uint16_t port_of(int fd) {
        sockaddr_in address{};
        socklen_t size = sizeof address;
        ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
        return ntohs(address.sin_port);
    }
    static bool readable(int fd) {
        pollfd p{fd, POLLIN, 0};
        return ::poll(&p, 1, tick_ms) > 0;
    }

    void accept_all() {
        while (!over_) {
            if (refused_) {
                if (listener_ >= 0) ::close(std::exchange(listener_, -1));
                ::poll(nullptr, 0, tick_ms);
                continue;
            }
            if (listener_ < 0) listener_ = listen_on(port_);
            if (hung_ || !readable(listener_)) {
                if (hung_) ::poll(nullptr, 0, tick_ms);
                continue;
            }
            const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            const sockaddr_in address = loopback(to_);
            if (client < 0 || ::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
                ::close(client);
                ::close(server);
                continue;
            }
            pumps_.emplace_back([this, client, server] { serve(client, server); });
        }
    }
    void serve(int client, int server) {
        std::atomic<bool> closed = false;
        std::thread back([&] { pump(server, client, closed); });
        pump(client, server, closed);
        back.join();
        ::close(client);
        ::close(server);
    }
    void pump(int from, int to, std::atomic<bool>& closed) {
        std::array<char, 65536> buffer;
        while (!over_ && !refused_ && !closed) {
            if (hung_) {
                ::poll(nullptr, 0, tick_ms);
                continue;
            }
            if (!readable(from)) continue;
            const auto n = ::recv(from, buffer.data(), buffer.size(), 0);
            if (n <= 0 || !send_all(to, buffer.data(), static_cast<std::size_t>(n), closed)) break;
            const std::size_t rate = rate_;
            if (rate > 0) {
                std::this_thread::sleep_for(std::chrono::nanoseconds(static_cast<std::int64_t>(n) * 1'000'000'000 /
                                                                     static_cast<std::int64_t>(rate)));
            }
        }
        closed = true;
        ::shutdown(from, SHUT_RDWR);
        ::shutdown(to, SHUT_RDWR);
    }
    bool send_all(int to, const char* data, std::size_t size, const std::atomic<bool>& closed) const {
        while (size > 0) {
            if (over_ || refused_ || closed) return false;
            const auto n = ::send(to, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n > 0) {
                data += n;
                size -= static_cast<std::size_t>(n);
            } else if (errno == EAGAIN) {
                pollfd p{to, POLLOUT, 0};
                ::poll(&p, 1, tick_ms);
            } else {
                return false;
            }
        }
        return true;
    }

    static constexpr int tick_ms = 10;
    const std::uint16_t to_;
    int listener_;
    const std::uint16_t port_;
    std::atomic<bool> over_ = false;
    std::atomic<bool> hung_ = false;
    std::atomic<bool> refused_ = false;
    std::atomic<std::size_t> rate_ = 0;
    std::vector<std::thread> pumps_;  // Of the acceptor, and then of the destructor.
    std::thread acceptor_;
};

}  // namespace keepstore::test
