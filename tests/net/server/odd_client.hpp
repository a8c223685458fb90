/// A client of the HTTP server for tests of slow readers.
#pragma once

#include "tests/net/server/tls_fixture.hpp"
#include "tests/net/server/transport_fixture.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <catch2/catch.hpp>

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace keepstore::test {

/// A client, plain or TLS, that reads in odd steps.
class odd_client {
  public:
    odd_client(std::uint16_t port, bool tls) {
        if (tls) {
            tls_.emplace(port, TLS1_3_VERSION, "", window);
        } else {
            plain_.emplace(port, window);
        }
    }
    void send(std::string_view text) {
        if (tls_) {
            tls_->send(text);
        } else {
            REQUIRE(plain_->send(text));
        }
    }
    /// The body of a response of this size.
    std::string body(std::size_t size) {
        std::size_t end = 0;
        while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
            if (!step()) return "no head";
        }
        if (!buffer_.starts_with("HTTP/1.1 200 OK\r\n")) return "not 200";
        const std::size_t all = end + 4 + size;
        while (buffer_.size() < all) {
            if (!step()) return "cut off";
        }
        std::string text = buffer_.substr(end + 4, size);
        buffer_.erase(0, all);
        return text;
    }
    /// Reads on until something has happened. \returns false if the connection ends before.
    bool read_until(const std::function<bool()>& happened) {
        while (!happened()) {
            if (!step()) return false;
        }
        return true;
    }
    /// Whether the connection ends before a response of this size has come.
    bool cut_off(std::size_t size) {
        std::size_t count = 0;
        while (step()) count += std::exchange(buffer_, {}).size();
        return count < size;
    }
    void close() {
        if (tls_) {
            tls_->close();
        } else {
            plain_->close();
        }
    }

  private:
    static constexpr int window = 65536;

    bool step() {
        static constexpr std::array<std::size_t, 6> steps{1, 7, 1000, 16385, 99'991, 40'000};
        const std::size_t size = steps[at_++ % steps.size()];
        std::string piece;
        if (tls_) {
            piece = tls_->receive_some(size);
        } else {
            pollfd ask{plain_->fd(), POLLIN, 0};
            if (::poll(&ask, 1, 40'000) != 1) return false;
            piece.resize(size);
            const auto n = ::recv(plain_->fd(), piece.data(), size, 0);
            piece.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
        }
        buffer_ += piece;
        return !piece.empty();
    }

    std::optional<raw_client> plain_;
    std::optional<tls_client> tls_;
    std::string buffer_;
    std::size_t at_ = 0;
};

}  // namespace keepstore::test
