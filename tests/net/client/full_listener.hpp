/// An address that replies to no connection attempt: its queue is full.
#pragma once

#include "net/http/url.hpp"

#include <catch2/catch.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>
#include <string_view>
#include <thread>

namespace keepstore::test {

class full_listener {
  public:
    explicit full_listener(const char* address = "127.0.0.1", std::uint16_t port = 0)
        : listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in where{};
        where.sin_family = AF_INET;
        where.sin_addr.s_addr = ::inet_addr(address);
        where.sin_port = htons(port);
        socklen_t size = sizeof where;
        REQUIRE(::bind(listener_, reinterpret_cast<sockaddr*>(&where), size) == 0);
        REQUIRE(::listen(listener_, 0) == 0);
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&where), &size);
        to_ = {false, address, ntohs(where.sin_port)};
        for (int& fd : waiting_) {
            fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
            ::connect(fd, reinterpret_cast<sockaddr*>(&where), sizeof where);
        }
    }
    ~full_listener() {
        ::shutdown(listener_, SHUT_RDWR);
        if (server_.joinable()) server_.join();
        for (const int fd : waiting_) ::close(fd);
        ::close(listener_);
    }
    full_listener(const full_listener&) = delete;
    full_listener& operator=(const full_listener&) = delete;
    [[nodiscard]] const net::endpoint& to() const { return to_; }

    /// Accepts all connections from now on, and responds to each request.
    void serve_next(std::string response) {
        server_ = std::thread([this, text = std::move(response)] {
            for (;;) {
                const int fd = ::accept(listener_, nullptr, nullptr);
                if (fd < 0) return;
                // Those that fill the queue send nothing.
                const timeval limit{0, 200'000};
                ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
                char piece[4096];
                if (::recv(fd, piece, sizeof piece, 0) > 0) ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
                ::close(fd);
            }
        });
    }

  private:
    const int listener_;
    net::endpoint to_;
    std::array<int, 4> waiting_{};
    std::thread server_;
};

}  // namespace keepstore::test
