/// An HTTP service on loopback with scripted responses, which records its requests: for what a real S3 service does
/// rarely. Keeps connections alive as a real one does.
#pragma once

#include "tests/net/client/script_server.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::test {

struct seen_request {
    std::string method;
    std::string target;
    std::map<std::string, std::string> headers;  ///< Lower-case names.
    std::string body;

    [[nodiscard]] std::string header(const std::string& name) const {
        const auto found = headers.find(name);
        return found == headers.end() ? "" : found->second;
    }
    [[nodiscard]] std::string path() const { return target.substr(0, target.find('?')); }
};

struct stub_reply {
    unsigned status = 200;
    std::string body = {};
    std::vector<std::pair<std::string, std::string>> headers = {};
    std::size_t cut_after = std::string::npos;  ///< Body bytes that are sent before the connection ends.
    bool hang_up = false;                       ///< No answer: the connection ends.
    bool silent = false;                        ///< No answer, until the client ends the connection.
    /// How the end of the body is known. Without a length a HEAD says nothing of the size, either.
    enum class framing { length, chunked, until_close } ends = framing::length;
};

class stub_service {
  public:
    /// \param handler  called for one request at a time, with its number from 0.
    using handler_type = std::function<stub_reply(const seen_request&, std::size_t)>;

    explicit stub_service(handler_type handler, SSL_CTX* tls = nullptr)
        : handler_(std::move(handler)), server_([this](peer& p, int) { serve(p); }, tls) {}
    ~stub_service() { server_.stop(); }

    /// Requests with Expect get 417, and their body is not read.
    void refuse_expect() { refuses_expect_ = true; }

    [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(server_.port()); }
    [[nodiscard]] std::uint16_t port() const { return server_.port(); }
    [[nodiscard]] int connections() const { return server_.accepted(); }

    [[nodiscard]] std::vector<seen_request> seen() const {
        const std::lock_guard lock(mutex_);
        return seen_;
    }
    [[nodiscard]] std::size_t count(std::string_view path_prefix = "") const {
        const std::lock_guard lock(mutex_);
        return static_cast<std::size_t>(
            std::ranges::count_if(seen_, [&](const auto& r) { return r.target.starts_with(path_prefix); }));
    }

  private:
    static seen_request parse(const std::string& head) {
        seen_request out;
        std::size_t at = head.find("\r\n");
        const auto line = head.substr(0, at);
        out.method = line.substr(0, line.find(' '));
        out.target = line.substr(out.method.size() + 1, line.rfind(' ') - out.method.size() - 1);
        for (at += 2; at < head.size();) {
            const auto end = head.find("\r\n", at);
            const auto one = head.substr(at, end - at);
            at = end + 2;
            const auto colon = one.find(':');
            if (colon == std::string::npos) continue;
            auto name = one.substr(0, colon);
            std::ranges::transform(name, name.begin(),
                                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
            out.headers[name] = one.substr(std::min(one.size(), one.find_first_not_of(' ', colon + 1)));
        }
        return out;
    }

    static std::string chunk_head(std::size_t size) {
        char text[24];
        std::snprintf(text, sizeof text, "%zx\r\n", size);
        return text;
    }

    void serve(peer& p) {
        for (;;) {
            const auto head = p.head();
            if (head.empty()) return;
            auto request = parse(head);
            if (refuses_expect_ && !request.header("expect").empty()) {
                {
                    const std::lock_guard lock(mutex_);
                    seen_.push_back(request);
                }
                if (!p.send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")) return;
                continue;
            }
            if (!request.header("expect").empty()) p.send("HTTP/1.1 100 Continue\r\n\r\n");
            if (const auto length = request.header("content-length"); !length.empty()) {
                request.body = p.body(std::stoul(length));
            }
            stub_reply reply;
            {
                const std::lock_guard lock(mutex_);
                seen_.push_back(request);
                reply = handler_(request, seen_.size() - 1);
            }
            if (reply.silent) static_cast<void>(p.head());
            if (reply.hang_up || reply.silent) return;
            std::string text = "HTTP/1.1 " + std::to_string(reply.status) + " Stub\r\n";
            for (const auto& [name, value] : reply.headers) text += name + ": " + value + "\r\n";
            const bool sized = reply.ends == stub_reply::framing::length;
            const bool chunked = reply.ends == stub_reply::framing::chunked;
            if (reply.status != 204 && sized) text += "Content-Length: " + std::to_string(reply.body.size()) + "\r\n";
            if (chunked) text += "Transfer-Encoding: chunked\r\n";
            text += "\r\n";
            if (request.method != "HEAD" && reply.status != 204) {
                if (chunked && !reply.body.empty()) text += chunk_head(reply.body.size());
                text += reply.body.substr(0, reply.cut_after);
                if (chunked && reply.cut_after >= reply.body.size()) {
                    text += reply.body.empty() ? "0\r\n\r\n" : "\r\n0\r\n\r\n";
                }
            }
            if (!p.send(text) || reply.cut_after < reply.body.size()) return;
            if (reply.ends == stub_reply::framing::until_close && request.method != "HEAD") return;
        }
    }

    const handler_type handler_;
    std::atomic<bool> refuses_expect_ = false;
    mutable std::mutex mutex_;
    std::vector<seen_request> seen_;  ///< Guarded by mutex_.
    script_server server_;
};

}  // namespace keepstore::test
