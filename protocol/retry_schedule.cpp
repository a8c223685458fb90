#include "protocol/retry_schedule.hpp"

#include "protocol/block_fetch.hpp"
#include "protocol/limits.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <random>

namespace keepstore::protocol {

retry_schedule::retry_schedule(std::size_t servers, deadline until)
    : until_(until), rounds_left_(limits::retry_rounds_max - 1) {
    for (std::size_t i = servers; i > 0; --i) now_.push_back(i - 1);
}

awaitable<std::optional<std::size_t>> retry_schedule::next() {
    if (cancelled_) co_return std::nullopt;
    if (now_.empty()) {
        if (again_.empty() || rounds_left_ == 0) co_return std::nullopt;
        --rounds_left_;
        // Full jitter, doubled each time.
        thread_local std::minstd_rand random{std::random_device{}()};
        const auto most = limits::retry_pause * (1 << pauses_++);
        const auto pause = std::chrono::milliseconds(
            std::uniform_int_distribution<std::chrono::milliseconds::rep>(1, most.count())(random));
        const auto end = std::chrono::steady_clock::now() + pause;
        if (end >= until_.at()) co_return std::nullopt;
        asio::steady_timer timer(co_await asio::this_coro::executor);
        timer.expires_at(end);
        const auto [waited] = co_await expiry(timer);
        if (waited) {
            cancelled_ = true;
            co_return std::nullopt;
        }
        now_.assign(again_.rbegin(), again_.rend());
        again_.clear();
    }
    const std::size_t server = now_.back();
    now_.pop_back();
    co_return server;
}

void retry_schedule::failed(std::size_t server, error why) {
    if (why == errc::cancelled) cancelled_ = true;
    if (may_pass(why)) again_.push_back(server);
    last_.insert_or_assign(server, std::move(why));
}

error retry_schedule::outcome() const {
    if (cancelled_) return errc::cancelled;
    error out(errc::not_found, "");
    const auto rank = [](errc code) {
        switch (code) {
            case errc::not_found:
                return 0;
            case errc::checksum_mismatch:
                return 1;
            default:
                return 2;
        }
    };
    for (const auto& [server, why] : last_) {
        if (rank(why.code) > rank(out.code)) out.code = why.code;
        if (!out.text.empty()) out.text += "; ";
        out.text += why.text;
    }
    if (out.text.empty()) out.text = "there is no server to ask";
    return out;
}

bool retry_schedule::all_unreachable() const {
    return std::ranges::all_of(last_, [](const auto& entry) {
        // No request was sent to it, by our own rules.
        if (entry.second.cause == net::failure::invalid_request) return false;
        return entry.second == errc::unavailable || entry.second == errc::timeout;
    });
}

}  // namespace keepstore::protocol
