#include "protocol/block_fetch.hpp"

#include "base/limits.hpp"
#include "base/text.hpp"

#include <fmt/format.h>

#include <array>

namespace keepstore::protocol {
namespace {

// Percent-encodes a locator, which may contain anything but white space.
std::string encoded(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        if (is_alphanumeric(c) || std::string_view("+@-_.~").contains(c))
            out += c;
        else
            out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return out;
}

error failure_of(unsigned status, const net::endpoint& from) {
    const std::string server = net::to_string(from);
    // The words of the Go client, which operators search for.
    if (status == 404) return {errc::not_found, server + ": Block not found (404)"};
    if (status >= 300 && status < 400) {
        return {errc::unavailable,
                fmt::format("{}: responds with a redirect ({}), which is not followed; use the keep service's own URL",
                            server, status)};
    }
    if (status >= 500 || status == 408 || status == 429 || status < 300)
        return {errc::unavailable, fmt::format("{}: responds with status {}", server, status)};
    return {errc::not_found,
            fmt::format("{}: refuses the request ({}); do both sides have the same signing key and "
                        "clock, and is the token valid there?",
                        server, status),
            std::make_error_code(std::errc::permission_denied)};
}

}  // namespace

result<block_server> parse_block_server(std::string_view text) {
    KS_TRY(auto parsed, net::parse_url(text));
    if (parsed.target.find('?') != std::string::npos)
        return fail(errc::bad_request, "a query is not part of a keep service's URL");
    if (!parsed.target.ends_with('/')) parsed.target += '/';
    return block_server{.to = std::move(parsed.to), .path = std::move(parsed.target)};
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
    const std::string from = net::to_string(response->from());
    if (response->status() == 502 && fetch.tell_bad_copies) {
        std::array<std::byte, 256> text{};
        const auto count = co_await response->read_full(text);
        const std::string_view body(reinterpret_cast<const char*>(text.data()), count.value_or(0));
        if (body.starts_with("checksum mismatch"))
            co_return fail(errc::checksum_mismatch, from + ": has no good copy of the block (502)");
    }
    if (response->status() != 200) co_return std::unexpected(failure_of(response->status(), response->from()));
    const auto announced = response->content_length();
    if (!announced && !fetch.size) {
        co_return fail(errc::checksum_mismatch,
                       from + ": neither the locator nor Content-Length gives the size of the block");
    }
    const std::uint64_t size = announced.value_or(fetch.size.value_or(0));
    if (fetch.size && size != *fetch.size) {
        co_return fail(errc::checksum_mismatch, fmt::format("{}: has {} bytes under this name, not {}; its copy is bad",
                                                            from, size, *fetch.size));
    }
    if (size > limits::block_size_bytes_max)
        co_return fail(errc::checksum_mismatch,
                       fmt::format("{}: announces {} bytes, over the block size limit", from, size));
    co_return incoming_block{.response = std::move(*response), .size = size};
}

awaitable<result<void>> expect_end(incoming_block& block) {
    std::array<std::byte, 1> one{};
    auto more = co_await block.response.read_some(one);
    if (!more) co_return std::unexpected(reading_error(std::move(more.error())));
    if (*more != 0)
        co_return fail(errc::checksum_mismatch,
                       net::to_string(block.response.from()) + ": the body is longer than the block");
    co_return success();
}

error reading_error(error why) {
    switch (why.code) {
        case errc::cancelled:
        case errc::timeout:
        case errc::unavailable:
            return why;
        // Malformed HTTP, and addresses that are never contacted.
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
