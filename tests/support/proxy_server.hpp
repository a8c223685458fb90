/// A small HTTP proxy on loopback: CONNECT for a tunnel, and absolute targets that it forwards. It connects to a name
/// of the tests ("*.invalid") at 127.0.0.1, as a proxy that resolves names which its clients cannot.
#pragma once

#include "tests/net/client/script_server.hpp"

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace keepstore::test {

class proxy_server {
  public:
    proxy_server() : server_([this](peer& p, int) { serve(p); }) {}
    ~proxy_server() { server_.stop(); }

    /// Requests without these credentials ("Basic ...") get 407.
    void demand(std::string authorization) {
        const std::lock_guard lock(mutex_);
        demanded_ = std::move(authorization);
    }
    /// All requests get this instead of being forwarded.
    void answer_with(std::string text) {
        const std::lock_guard lock(mutex_);
        instead_ = std::move(text);
    }

    [[nodiscard]] std::string address() const { return "127.0.0.1:" + std::to_string(server_.port()); }
    [[nodiscard]] std::uint16_t port() const { return server_.port(); }
    /// First lines of the requests.
    [[nodiscard]] std::vector<std::string> requests() const {
        const std::lock_guard lock(mutex_);
        return requests_;
    }
    [[nodiscard]] std::vector<std::string> heads() const {
        const std::lock_guard lock(mutex_);
        return heads_;
    }

  private:
    static int connect_to(const std::string& authority) {
        const auto port = static_cast<std::uint16_t>(std::stoul(authority.substr(authority.rfind(':') + 1)));
        const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0) return fd;
        ::close(fd);
        return -1;
    }
    static bool send_all(int fd, std::string_view text) {
        while (!text.empty()) {
            const auto n = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
            if (n <= 0) return false;
            text.remove_prefix(static_cast<std::size_t>(n));
        }
        return true;
    }
    /// Until one of them ends.
    static void relay(int a, int b) {
        std::vector<char> buffer(65536);
        pollfd both[2] = {{a, POLLIN, 0}, {b, POLLIN, 0}};
        while (::poll(both, 2, 40'000) > 0) {
            for (int i = 0; i < 2; ++i) {
                if (both[i].revents == 0) continue;
                const auto n = ::recv(both[i].fd, buffer.data(), buffer.size(), 0);
                if (n <= 0) return;
                if (!send_all(both[1 - i].fd, {buffer.data(), static_cast<std::size_t>(n)})) return;
            }
        }
    }

    /// One request for each connection to the server behind it: "Connection: close" is added.
    void serve(peer& p) {
        const auto head = p.head();
        if (head.empty()) return;
        std::string instead;
        {
            const std::lock_guard lock(mutex_);
            requests_.push_back(head.substr(0, head.find("\r\n")));
            heads_.push_back(head);
            instead = instead_;
            if (!demanded_.empty() && head.find("Proxy-Authorization: " + demanded_ + "\r\n") == std::string::npos) {
                instead = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
            }
        }
        if (!instead.empty()) {
            p.send(instead);
            return;
        }
        const auto first = head.find(' ') + 1;
        auto target = head.substr(first, head.find(' ', first) - first);
        const bool tunnel = head.starts_with("CONNECT ");
        if (!tunnel && !target.starts_with("http://")) {
            p.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
            return;
        }
        if (!tunnel) target = target.substr(7, target.find('/', 7) - 7);
        const int server = connect_to(target);
        if (server < 0) {
            p.send("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
            return;
        }
        if (tunnel) {
            p.send("HTTP/1.1 200 Connection established\r\n\r\n");
        } else {
            auto forwarded = head;
            forwarded.erase(first, 7 + target.size());
            const auto secret = forwarded.find("Proxy-Authorization: ");
            if (secret != std::string::npos) forwarded.erase(secret, forwarded.find("\r\n", secret) + 2 - secret);
            forwarded.insert(forwarded.size() - 2, "Connection: close\r\n");
            send_all(server, forwarded);
        }
        // What the client has sent after the head is still in its socket: it waits for the proxy, or for "100
        // Continue"; the rest of a small body may have come with the head.
        if (!tunnel) send_all(server, p.pending());
        relay(p.fd(), server);
        ::close(server);
    }

    mutable std::mutex mutex_;
    std::string demanded_;  ///< Guarded by mutex_, as are the next three.
    std::string instead_;
    std::vector<std::string> requests_;
    std::vector<std::string> heads_;
    script_server server_;  // First to go.
};

}  // namespace keepstore::test
