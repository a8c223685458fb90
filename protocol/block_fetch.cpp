#include "protocol/block_fetch.hpp"

#include "base/limits.hpp"

#include <fmt/format.h>

#include <array>

namespace keepstore::protocol {
namespace {

// Locators may hold anything that is not white space; in a path only these stand for themselves.
std::string encoded(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                           std::string_view("+@-_.~").find(c) != std::string_view::npos;
        if (plain)
            out += c;
        else
            fmt::format_to(std::back_inserter(out), "%{:02X}", static_cast<unsigned char>(c));
    }
    return out;
}

error failure_of(unsigned status, const net::endpoint& from) {
    const std::string who = net::to_string(from);
    // Go clients say it in these words, and people look for them.
    if (status == 404) return {errc::not_found, who + ": Block not found (404)"};
    if (status >= 300 && status < 400) {
        return {errc::unavailable,
                fmt::format("{}: answers with a redirect ({}), which is not followed; give the keep service's own URL",
                            who, status)};
    }
    if (status >= 500 || status == 408 || status == 429 || status < 300)
        return {errc::unavailable, fmt::format("{}: answers {}", who, status)};
    return {errc::not_found, fmt::format("{}: refuses the request ({}); do both sides have the same signing key and "
                                         "clock, and is the token valid there?",
                                         who, status)};
}

}  // namespace

result<block_server> parse_block_server(std::string_view text) {
    auto parsed = net::parse_url(text);
    if (!parsed) return std::unexpected(std::move(parsed.error()));
    if (parsed->target.find('?') != std::string::npos)
        return fail(errc::bad_request, "a query is not part of a keep service's URL");
    if (!parsed->target.ends_with('/')) parsed->target += '/';
    return block_server{.to = std::move(parsed->to), .path = std::move(parsed->target)};
}

awaitable<result<incoming_block>> open_block(const net::client& client, block_server server, block_fetch fetch,
                                             deadline until) {
    net::request r;
    r.to = server.to;
    r.target = server.path + encoded(fetch.locator);
    r.headers.push_back({"Authorization", "Bearer " + fetch.token});
    if (!fetch.request_id.empty()) r.headers.push_back({"X-Request-Id", fetch.request_id});
    r.timing = fetch.timing;
    auto response = co_await client.send(std::move(r), until);
    if (!response) co_return std::unexpected(reading_error(std::move(response.error())));
    const std::string who = net::to_string(response->from());
    if (response->status() != 200) co_return std::unexpected(failure_of(response->status(), response->from()));
    const auto announced = response->content_length();
    if (!announced && !fetch.size) {
        co_return fail(errc::checksum_mismatch,
                       who + ": says neither in the locator nor in Content-Length how long the block is");
    }
    const std::uint64_t size = announced.value_or(fetch.size.value_or(0));
    if (fetch.size && size != *fetch.size) {
        co_return fail(errc::checksum_mismatch, fmt::format("{}: has {} bytes under this name, not {}; its copy is bad",
                                                            who, size, *fetch.size));
    }
    if (size > limits::block_size_bytes_max)
        co_return fail(errc::checksum_mismatch,
                       fmt::format("{}: wants to send {} bytes, more than a block has", who, size));
    co_return incoming_block{.response = std::move(*response), .size = size};
}

awaitable<result<void>> expect_end(incoming_block& block) {
    std::array<std::byte, 1> one{};
    auto more = co_await block.response.read_some(one);
    if (!more) co_return std::unexpected(reading_error(std::move(more.error())));
    if (*more != 0)
        co_return fail(errc::checksum_mismatch,
                       net::to_string(block.response.from()) + ": sends more than the block has");
    co_return result<void>{};
}

error reading_error(error why) {
    switch (why.code) {
        case errc::cancelled:
        case errc::timeout:
        case errc::unavailable:
            return why;
        // What is no HTTP, and addresses that are never contacted.
        default:
            return {errc::unavailable, std::move(why.text), why.cause};
    }
}

bool may_pass(const error& why) noexcept {
    if (why.cause == net::failure::certificate || why.cause == net::failure::invalid_request ||
        why.cause == net::failure::closed || why.cause == net::failure::deadline_passed)
        return false;
    return why.code == errc::unavailable || why.code == errc::timeout;
}

}  // namespace keepstore::protocol
