/// A request without a socket, for tests of the router's application layer: what the handler sends is kept for the
/// test. Cancellation is played by the test: cancel_with() sets the reason that a real session would have set.
#pragma once

#include "net/server/server_exchange.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace keepstore::test {

class fake_exchange final : public net::server_exchange, private byte_source {
  public:
    using headers = std::vector<net::header>;

    fake_exchange(std::string method, std::string target, headers hs = {}, std::string body = {})
        : body_(std::move(body)) {
        head_.method = std::move(method);
        head_.target = std::move(target);
        const auto mark = head_.target.find('?');
        head_.path = decode(head_.target.substr(0, mark));
        if (mark != std::string::npos) head_.query = head_.target.substr(mark + 1);
        head_.headers = std::move(hs);
        if (head_.method == "PUT" || head_.method == "POST") head_.content_length = body_.size();
    }

    // --- what the test may set before, or while, the handler runs -----------------------------------------------
    net::request_head& edit_head() { return head_; }
    void cancel_with(net::cancel_reason why) { cancelled_ = why; }
    /// Body bytes after which the source fails with `code`.
    void fail_body_after(std::size_t bytes, errc code) {
        body_fails_at_ = bytes;
        body_error_ = code;
    }
    /// Response body bytes after which writes fail because the client left.
    void client_leaves_after(std::size_t bytes) { client_leaves_at_ = bytes; }
    /// A reader this slow takes at most so much of each write_some().
    void take_at_most(std::size_t bytes) { takes_at_most_ = bytes; }
    /// Called at every write of the response.
    std::function<void()> on_write = [] {};

    // --- what the handler did -----------------------------------------------------------------------------------
    [[nodiscard]] const std::string& sent_body() const { return sent_; }
    [[nodiscard]] bool finished() const { return finished_; }
    [[nodiscard]] bool aborted() const { return aborted_; }
    [[nodiscard]] std::optional<std::uint64_t> announced_length() const { return announced_; }
    [[nodiscard]] bool body_was_read() const { return body_was_read_; }
    [[nodiscard]] std::string sent_header(std::string_view name) const {
        for (const auto& h : response_headers_)
            if (h.name == name) return h.value;
        return {};
    }
    [[nodiscard]] bool sent(std::string_view name) const {
        return std::ranges::any_of(response_headers_, [&](const auto& h) { return h.name == name; });
    }

    // --- exchange -----------------------------------------------------------------------------------------------
    const net::request_head& head() const noexcept override { return head_; }
    std::string_view remote_address() const noexcept override { return "192.0.2.1:1234"; }
    std::chrono::steady_clock::time_point started_at() const noexcept override { return started_at_; }
    void set_deadline(deadline d) override { deadline_ = d; }
    deadline get_deadline() const noexcept override { return deadline_; }
    net::cancel_reason cancelled_because() const noexcept override { return cancelled_; }

    byte_source& body() noexcept override { return *this; }
    awaitable<result<std::string>> read_body(std::size_t limit) override {
        body_was_read_ = true;
        if (body_.size() > limit) co_return fail(errc::too_large);
        co_return body_;
    }

    void set_header(std::string_view name, std::string_view value) override {
        response_headers_.push_back({std::string(name), std::string(value)});
    }
    awaitable<result<void>> send(unsigned status, std::string_view body) override {
        begin(status);
        announced_ = body.size();
        finished_ = true;
        if (head_.method != "HEAD") sent_ = body;
        if (cancelled_ == net::cancel_reason::client_gone) co_return fail(errc::cancelled);
        co_return result<void>{};
    }
    awaitable<result<void>> start(unsigned status, std::optional<std::uint64_t> length) override {
        begin(status);
        announced_ = length;
        co_return result<void>{};
    }
    awaitable<result<void>> wait_writable() override {
        if (cancelled_ != net::cancel_reason::none) co_return fail(errc::cancelled);
        co_return result<void>{};
    }
    awaitable<result<void>> write(std::span<const std::byte> bytes) override {
        on_write();
        if (sent_.size() + bytes.size() > client_leaves_at_) {
            cancelled_ = net::cancel_reason::client_gone;
            co_return fail(errc::cancelled);
        }
        sent_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        co_return result<void>{};
    }
    awaitable<result<std::size_t>> write_some(std::span<const std::byte> bytes, byte_sink::when_full) override {
        bytes = bytes.first(std::min(bytes.size(), takes_at_most_));
        auto written = co_await write(bytes);
        if (!written) co_return std::unexpected(std::move(written.error()));
        co_return bytes.size();
    }
    awaitable<result<void>> finish() override {
        finished_ = true;
        co_return result<void>{};
    }
    void abort() noexcept override { aborted_ = true; }
    bool response_started() const noexcept override { return status_ != 0; }
    unsigned status() const noexcept override { return status_; }
    std::uint64_t response_body_bytes() const noexcept override { return sent_.size(); }
    std::chrono::steady_clock::time_point response_started_at() const noexcept override { return response_at_; }

  private:
    std::optional<std::uint64_t> size() const noexcept override { return head_.content_length; }
    awaitable<result<void>> wait_ready() override { co_return result<void>{}; }
    awaitable<result<std::size_t>> read_some(std::span<std::byte> into) override {
        body_was_read_ = true;
        if (body_at_ >= body_fails_at_) co_return fail(body_error_);
        const std::size_t n = std::min({into.size(), body_.size() - body_at_, body_fails_at_ - body_at_});
        if (n > 0) std::memcpy(into.data(), body_.data() + body_at_, n);
        body_at_ += n;
        co_return n;
    }

    void begin(unsigned status) {
        status_ = status;
        response_at_ = std::chrono::steady_clock::now();
    }

    static std::string decode(const std::string& in) {
        std::string out;
        for (std::size_t i = 0; i < in.size(); ++i) {
            if (in[i] == '%' && i + 2 < in.size()) {
                out += static_cast<char>(std::stoi(in.substr(i + 1, 2), nullptr, 16));
                i += 2;
            } else {
                out += in[i];
            }
        }
        return out;
    }

    net::request_head head_;
    std::string body_;
    std::size_t body_at_ = 0;
    std::size_t body_fails_at_ = static_cast<std::size_t>(-1);
    errc body_error_ = errc::cancelled;
    std::size_t client_leaves_at_ = static_cast<std::size_t>(-1);
    std::size_t takes_at_most_ = static_cast<std::size_t>(-1);
    std::chrono::steady_clock::time_point started_at_ = std::chrono::steady_clock::now();
    deadline deadline_;
    net::cancel_reason cancelled_ = net::cancel_reason::none;
    headers response_headers_;
    std::string sent_;
    std::optional<std::uint64_t> announced_;
    unsigned status_ = 0;
    bool finished_ = false;
    bool aborted_ = false;
    bool body_was_read_ = false;
    std::chrono::steady_clock::time_point response_at_{};
};

}  // namespace keepstore::test
