/// Keep services that play a script, for tests of pulls and of reads from other clusters.
#pragma once

#include "tests/net/client/script_server.hpp"
#include "tests/store/store_fixture.hpp"

#include <fmt/format.h>

#include <mutex>
#include <string>
#include <vector>

namespace keepstore::test {

/// What a scripted keep service does with a GET.
struct service_plan {
    unsigned status = 200;
    std::string body;
    std::size_t announce = std::string::npos;  ///< Content-Length; default: the body's size.
    std::size_t cut_at = std::string::npos;    ///< The connection ends after so much of the body.
    bool silent = false;                       ///< Takes the request and says nothing.
    std::string headers;                       ///< More of them, each with its CRLF.
    int fails_first = 0;                       ///< The number of requests that get a 503 first.
    enum class framing { length, chunked, endless };
    framing how = framing::length;  ///< Chunked: no Content-Length. Endless: after the body there is always more.
};

class keep_service {
  public:
    explicit keep_service(service_plan plan) : plan_(std::move(plan)), server_([this](peer& p, int) { serve(p); }) {}

    [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(server_.port()); }
    [[nodiscard]] std::uint16_t port() const { return server_.port(); }
    [[nodiscard]] net::endpoint to() const { return server_.to(); }
    [[nodiscard]] std::vector<std::string> requests() const {
        const std::lock_guard lock(mutex_);
        return requests_;
    }
    void stop() { server_.stop(); }

  private:
    void serve(peer& p) {
        for (std::string head = p.head(); !head.empty(); head = p.head()) {
            {
                const std::lock_guard lock(mutex_);
                requests_.push_back(head);
            }
            if (plan_.silent) {
                p.wait_closed();
                return;
            }
            if (left_to_fail_.fetch_sub(1) > 0) {
                p.send("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
                continue;
            }
            if (plan_.how != service_plan::framing::length) {
                if (!send_chunked(p)) return;
                continue;
            }
            const std::size_t size = plan_.announce == std::string::npos ? plan_.body.size() : plan_.announce;
            p.send("HTTP/1.1 " + std::to_string(plan_.status) + " X\r\nContent-Length: " + std::to_string(size) +
                   "\r\n" + plan_.headers + "\r\n");
            p.send(std::string_view(plan_.body).substr(0, plan_.cut_at));
            if (plan_.cut_at != std::string::npos || size != plan_.body.size()) return;
        }
    }

    bool send_chunked(peer& p) const {
        p.send("HTTP/1.1 " + std::to_string(plan_.status) + " X\r\nTransfer-Encoding: chunked\r\n" + plan_.headers +
               "\r\n");
        const auto send_piece = [&](std::string_view text) {
            return p.send(fmt::format("{:x}\r\n{}\r\n", text.size(), text));
        };
        // Not as large as any buffer.
        for (std::size_t at = 0; at < plan_.body.size(); at += 100'003)
            if (!send_piece(std::string_view(plan_.body).substr(at, 100'003))) return false;
        while (plan_.how == service_plan::framing::endless)
            if (!send_piece("more")) return false;
        return p.send("0\r\n\r\n");
    }

    const service_plan plan_;
    std::atomic<int> left_to_fail_{plan_.fails_first};
    mutable std::mutex mutex_;
    std::vector<std::string> requests_;  // Guarded by mutex_.
    script_server server_;
};

/// The value of a header in a request head.
inline std::string header_in(const std::string& head, const std::string& name) {
    const auto at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return "";
    const auto from = at + name.size() + 4;
    return head.substr(from, head.find("\r\n", from) - from);
}

/// The path of a request head.
inline std::string path_in(const std::string& head) {
    const auto from = head.find(' ') + 1;
    return head.substr(from, head.find(' ', from) - from);
}

}  // namespace keepstore::test
