/// A server of the transport on loopback with event loops on threads of its own, scripted handlers, and a blocking
/// client that sends and receives raw bytes.
#pragma once

#include "net/server/server.hpp"
#include "net/server/server_exchange.hpp"
#include "net/tls/tls_server_context.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace keepstore::test {

using namespace std::chrono_literals;

/// Calls a function for each request; the function is a free coroutine or a capture-free lambda.
class scripted_handler final : public net::handler {
  public:
    using script = std::function<awaitable<void>(net::server_exchange&)>;

    explicit scripted_handler(script s) : script_(std::move(s)) {}

    awaitable<void> handle(net::server_exchange& x) override {
        ++running;
        co_await script_(x);
        last_reason = x.cancelled_because();
        --running;
        ++finished;
    }
    void stalled(net::server_exchange&, bool yes) noexcept override { ++(yes ? stalls : resumes); }

    std::atomic<int> running{0};
    std::atomic<int> finished{0};
    std::atomic<int> stalls{0};
    std::atomic<int> resumes{0};
    std::atomic<net::cancel_reason> last_reason{net::cancel_reason::none};

  private:
    const script script_;
};

/// Waits for something observable, with a limit.
inline bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds limit = 40s) {
    const auto until = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
        if (std::chrono::steady_clock::now() >= until) return false;
        std::this_thread::sleep_for(2ms);
    }
    return true;
}

class transport {
  public:
    explicit transport(scripted_handler::script script, net::transport_options options = {},
                       std::shared_ptr<net::tls_server_context> tls = nullptr, unsigned loops = 2)
        : handler(std::move(script)) {
        std::vector<asio::any_io_executor> executors;
        for (unsigned i = 0; i < loops; ++i) {
            contexts_.push_back(std::make_unique<asio::io_context>(1));
            executors.emplace_back(contexts_.back()->get_executor());
        }
        server = std::make_unique<net::server>(executors, handler, options);
        auto bound = server->listen("127.0.0.1", 0, std::move(tls));
        if (!bound) throw std::runtime_error(bound.error().text);
        port = *bound;
        server->start();
        for (auto& context : contexts_) {
            guards_.push_back(asio::make_work_guard(*context));
            threads_.emplace_back([c = context.get()] { c->run(); });
        }
    }
    ~transport() {
        if (!drained_) drain(500ms);
        server.reset();
        for (auto& guard : guards_) guard.reset();
        for (auto& context : contexts_) context->stop();
        for (auto& thread : threads_) thread.join();
    }

    bool drain(std::chrono::milliseconds limit) { return begin_drain(limit).get(); }
    std::future<bool> begin_drain(std::chrono::milliseconds limit) {
        drained_ = true;
        return asio::co_spawn(*contexts_.front(), server->drain(deadline::in(limit)), asio::use_future);
    }

    scripted_handler handler;
    std::unique_ptr<net::server> server;
    std::uint16_t port = 0;

  private:
    bool drained_ = false;
    std::vector<std::unique_ptr<asio::io_context>> contexts_;
    std::vector<asio::executor_work_guard<asio::io_context::executor_type>> guards_;
    std::vector<std::thread> threads_;
};

/// Options with short times, for tests that wait for a limit.
inline net::transport_options quick_options() {
    net::transport_options o;
    o.tick = 10ms;
    o.linger_timeout = 200ms;
    o.drain_idle_grace = 50ms;
    return o;
}

/// A blocking client; every read has a limit of 10 seconds.
class raw_client {
  public:
    explicit raw_client(std::uint16_t port, int receive_buffer = 0)
        : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        if (receive_buffer) ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        // The kernel's interface.
        if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
            throw std::runtime_error("cannot connect");
        }
        const int on = 1;
        ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    ~raw_client() { close(); }
    raw_client(const raw_client&) = delete;
    raw_client& operator=(const raw_client&) = delete;

    void close() {
        if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    }
    void shutdown_send() { ::shutdown(fd_, SHUT_WR); }
    [[nodiscard]] int fd() const { return fd_; }

    bool send(std::string_view text) {
        while (!text.empty()) {
            const auto n = ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL);
            if (n <= 0) return false;
            text.remove_prefix(static_cast<std::size_t>(n));
        }
        return true;
    }

    /// Reads more into the buffer. \returns false at the end, on a reset (reset() is then true) or after the limit.
    bool receive(std::chrono::milliseconds limit = 40s) {
        pollfd ask{fd_, POLLIN, 0};
        if (::poll(&ask, 1, static_cast<int>(limit.count())) != 1) {
            timed_out_ = true;
            return false;
        }
        char piece[65536];
        const auto n = ::recv(fd_, piece, sizeof piece, 0);
        if (n < 0) reset_ = true;
        if (n <= 0) return false;
        buffer_.append(piece, static_cast<std::size_t>(n));
        return true;
    }

    /// One response: head and body, by its Content-Length (none for HEAD and 1xx) or up to the last chunk.
    std::string response(bool head_only = false) {
        std::size_t end = 0;
        while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
            if (!receive()) return std::exchange(buffer_, {});
        }
        std::size_t size = end + 4;
        const std::string head = buffer_.substr(0, size);
        if (!head_only && head.substr(9, 1) != "1") {
            if (const auto at = head.find("Content-Length: "); at != std::string::npos) {
                size += std::stoul(head.substr(at + 16));
                while (buffer_.size() < size && receive()) {
                }
            } else if (head.find("Transfer-Encoding: chunked") != std::string::npos) {
                while (buffer_.find("0\r\n\r\n", end + 4) == std::string::npos && receive()) {
                }
                const auto last = buffer_.find("0\r\n\r\n", end + 4);
                size = last == std::string::npos ? buffer_.size() : last + 5;
            }
        }
        size = std::min(size, buffer_.size());
        std::string text = buffer_.substr(0, size);
        buffer_.erase(0, size);
        return text;
    }

    /// Everything up to the end of the connection.
    std::string all() {
        while (receive()) {
        }
        return std::exchange(buffer_, {});
    }
    /// How much of the body of the response that is arriving is there.
    [[nodiscard]] std::size_t body_bytes() const {
        const auto end = buffer_.find("\r\n\r\n");
        return end == std::string::npos ? 0 : buffer_.size() - end - 4;
    }
    /// Whether the server has closed the connection (nothing more came).
    bool ended() { return all().empty() && !timed_out_; }

    [[nodiscard]] bool reset() const { return reset_; }
    [[nodiscard]] bool timed_out() const { return timed_out_; }

  private:
    int fd_;
    bool reset_ = false;
    bool timed_out_ = false;
    std::string buffer_;
};

inline std::string status_line(const std::string& response) {
    return response.substr(0, response.find("\r\n"));
}
inline std::string body_of(const std::string& response) {
    const auto end = response.find("\r\n\r\n");
    return end == std::string::npos ? "" : response.substr(end + 4);
}

}  // namespace keepstore::test
