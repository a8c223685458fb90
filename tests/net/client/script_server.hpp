/// A server that plays a script, for what real servers do rarely. Blocking sockets, one thread for each connection, all
/// on loopback and bounded in time. Also helpers for tests that call it.
#pragma once

#include "net/client/http_client.hpp"
#include "tests/support/run.hpp"

#include <boost/asio/cancellation_signal.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace keepstore::test {

/// One accepted connection, as the script sees it.
class peer {
  public:
    explicit peer(int fd, SSL_CTX* tls) : fd_(fd), ssl_(tls ? SSL_new(tls) : nullptr, SSL_free) {
        const timeval limit{40, 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        if (!ssl_) return;
        SSL_set_fd(ssl_.get(), fd_);
        ok_ = SSL_accept(ssl_.get()) == 1;
    }
    ~peer() {
        if (fd_ < 0) return;
        if (ssl_ && ok_) SSL_shutdown(ssl_.get());
        ::close(fd_);
    }
    peer(const peer&) = delete;
    peer& operator=(const peer&) = delete;

    /// A request's head; empty if the client has closed.
    std::string head() {
        for (;;) {
            const auto end = input_.find("\r\n\r\n");
            if (end != std::string::npos) {
                std::string out = input_.substr(0, end + 4);
                input_.erase(0, end + 4);
                return out;
            }
            if (!fill()) return {};
        }
    }
    std::string body(std::size_t size) {
        while (input_.size() < size && fill()) {
        }
        std::string out = input_.substr(0, size);
        input_.erase(0, size);
        return out;
    }
    /// What has been received and not taken.
    std::string pending() { return std::exchange(input_, {}); }
    bool send(std::string_view text) {
        while (!text.empty()) {
            const auto n = ssl_ ? SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()))
                                : static_cast<int>(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL));
            if (n <= 0) return false;
            text.remove_prefix(static_cast<std::size_t>(n));
        }
        return true;
    }
    void answer(std::string_view body, std::string_view headers = "") {
        send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + std::string(headers) +
             "\r\n" + std::string(body));
    }
    /// Until the client closes; whatever it sends meanwhile is thrown away.
    bool wait_closed() {
        while (fill()) input_.clear();
        return !timed_out_;
    }
    void reset() {
        const linger at_once{1, 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        ::close(fd_);
        fd_ = -1;
    }
    [[nodiscard]] bool handshake_worked() const { return ok_; }
    [[nodiscard]] bool session_reused() { return SSL_session_reused(ssl_.get()) == 1; }
    [[nodiscard]] int fd() const { return fd_; }

  private:
    bool fill() {
        char piece[16384];
        const auto n =
            ssl_ ? SSL_read(ssl_.get(), piece, sizeof piece) : static_cast<int>(::recv(fd_, piece, sizeof piece, 0));
        if (n <= 0) {
            timed_out_ = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
            return false;
        }
        input_.append(piece, static_cast<std::size_t>(n));
        return true;
    }

    int fd_;
    std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
    bool ok_ = true;
    bool timed_out_ = false;
    std::string input_;
};

/// Listens on a free port; `script` gets each connection and its number, from 0, on a thread of its own.
class script_server {
  public:
    using script_type = std::function<void(peer&, int)>;

    explicit script_server(script_type script, SSL_CTX* tls = nullptr)
        : script_(std::move(script)), tls_(tls), listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
        std::signal(SIGPIPE, SIG_IGN);  // OpenSSL's sockets raise it.
        sockaddr_in where{};
        where.sin_family = AF_INET;
        where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof where;
        if (::bind(listener_, reinterpret_cast<sockaddr*>(&where), size) != 0 || ::listen(listener_, 64) != 0) {
            throw std::runtime_error("cannot listen");
        }
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&where), &size);
        port_ = ntohs(where.sin_port);
        acceptor_ = std::thread([this] { accept_all(); });
    }
    ~script_server() {
        stop();
        ::close(listener_);
    }
    script_server(const script_server&) = delete;
    script_server& operator=(const script_server&) = delete;

    /// Ends all connections and waits for their scripts.
    void stop() {
        ::shutdown(listener_, SHUT_RDWR);
        if (acceptor_.joinable()) acceptor_.join();
        std::vector<std::thread> threads;
        {
            const std::lock_guard lock(mutex_);
            for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
            threads.swap(threads_);
        }
        for (auto& t : threads) t.join();
    }

    [[nodiscard]] net::endpoint to(std::string host = "127.0.0.1") const {
        return {tls_ != nullptr, std::move(host), port_};
    }
    [[nodiscard]] int accepted() const { return accepted_; }
    [[nodiscard]] std::uint16_t port() const { return port_; }

  private:
    void accept_all() {
        for (;;) {
            const int fd = ::accept(listener_, nullptr, nullptr);
            if (fd < 0) return;
            const std::lock_guard lock(mutex_);
            const int number = accepted_++;
            open_.push_back(fd);
            threads_.emplace_back([this, fd, number] { serve(fd, number); });
        }
    }
    void serve(int fd, int number) {
        // A second descriptor, which stays valid for stop() while the script closes its own.
        const int own = ::dup(fd);
        {
            peer p(own, tls_);
            if (p.handshake_worked()) script_(p, number);
        }
        const std::lock_guard lock(mutex_);
        std::erase(open_, fd);
        ::close(fd);
    }

    const script_type script_;
    SSL_CTX* const tls_;
    const int listener_;
    std::uint16_t port_ = 0;
    std::atomic<int> accepted_{0};
    std::mutex mutex_;
    std::vector<int> open_;             ///< Guarded by mutex_.
    std::vector<std::thread> threads_;  ///< Guarded by mutex_.
    std::thread acceptor_;
};

inline net::client make_client(net::client_options options = {}) {
    auto made = net::client::make(std::move(options));
    if (!made) throw std::runtime_error(made.error().text);
    return std::move(*made);
}

/// What became of a call.
struct answer {
    unsigned status = 0;  ///< 0: no response.
    std::string body;
    std::optional<error> failed;  ///< Of send(), or of reading the body.

    [[nodiscard]] bool failed_with(errc code, net::failure why) const {
        return failed && failed->code == code && failed->cause == why;
    }
    [[nodiscard]] std::string error_text() const { return failed ? failed->text : ""; }
};

inline awaitable<answer> call(const net::client& c, net::request r, deadline until, std::size_t limit = 80 * MiB) {
    answer out;
    auto response = co_await c.send(std::move(r), until);
    if (!response) {
        out.failed = std::move(response.error());
        co_return out;
    }
    out.status = response->status();
    auto body = co_await response->read_all(limit);
    if (body) {
        out.body = std::move(*body);
    } else {
        out.failed = std::move(body.error());
    }
    co_return out;
}

/// One call on a loop of its own.
inline answer call_once(const net::client& c, net::request r, deadline until = deadline::in(std::chrono::seconds(45))) {
    return run(call(c, std::move(r), until));
}

/// `count` calls one after the other on one loop.
inline awaitable<std::vector<answer>> call_in_turn(const net::client& c, net::request r, int count) {
    std::vector<answer> out;
    for (int i = 0; i < count; ++i) {
        auto a = co_await call(c, r, deadline::in(std::chrono::seconds(45)));
        out.push_back(std::move(a));
    }
    co_return out;
}

inline const_slice slice_of(std::string_view text) {
    return copy_to_heap_slice(std::as_bytes(std::span(text)));
}

/// Calls running on a loop that the test turns by hand.
class loop {
  public:
    struct job {
        std::optional<answer> done;
        asio::cancellation_signal cancel;
    };

    job& start(const net::client& c, net::request r, deadline until = deadline::in(std::chrono::seconds(45))) {
        auto& j = *jobs_.emplace_back(std::make_unique<job>());
        spawn(context_.get_executor(), then(guarded(c, std::move(r), until), [&j](answer a) { j.done = std::move(a); }),
              j.cancel.slot(), [](std::exception_ptr e) {
                  if (e) std::rethrow_exception(e);
              });
        return j;
    }
    /// Runs until it holds; false after ten seconds.
    bool until(const std::function<bool()>& holds) {
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(40);
        while (!holds()) {
            if (std::chrono::steady_clock::now() > end) return false;
            context_.restart();
            context_.run_for(std::chrono::milliseconds(2));
        }
        return true;
    }
    asio::io_context& context() { return context_; }

  private:
    static awaitable<answer> guarded(const net::client& c, net::request r, deadline until) {
        co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
        co_await asio::this_coro::throw_if_cancelled(false);
        co_return co_await call(c, std::move(r), until);
    }

    std::vector<std::unique_ptr<job>> jobs_;
    asio::io_context context_{1};
};

}  // namespace keepstore::test
