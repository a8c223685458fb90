#include "keepctl/cluster/keep_server.hpp"

#include "base/limits.hpp"
#include "base/log.hpp"
#include "base/run_on_loop.hpp"
#include "base/text.hpp"
#include "cloud/time.hpp"
#include "digest/md5.hpp"
#include "keepctl/cluster/limits.hpp"
#include "protocol/index_lines.hpp"
#include "protocol/locator.hpp"
#include "protocol/rendezvous.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <numeric>
#include <utility>

namespace keepstore::keepctl {
namespace {

/// The shortest line of an index: a hash, "+0 0" and a newline.
constexpr std::size_t index_line_bytes_min = 37;

// Half of the second by which a Date is too early at most.
constexpr std::chrono::milliseconds clock_date_error{500};
// Smaller differences are those of the measurement.
constexpr std::chrono::milliseconds clock_difference_shown{1500};

constexpr std::size_t identity_digits = 15;

constexpr std::string_view no_key =
    "wants a signature; give --config, or the servers' signing key with --signing-key-file";

net::phase_limits silence_limits(std::chrono::steady_clock::duration silence) {
    return {.connect = limits::net_connect_timeout, .first_byte = silence, .progress = silence};
}

std::string first_line(std::string_view body) {
    constexpr std::size_t characters_max = 80;
    std::string out;
    for (const char c : body.substr(0, body.find('\n'))) {
        if (out.size() == characters_max) break;
        out += c >= ' ' && c < 0x7f ? c : '?';
    }
    return out;
}

// What a PUT gets whose bytes are not the block: 400 with this text (docs/interface.md 2.6), 422 from Go daemons before
// Arvados 3.
bool is_hash_mismatch(unsigned status, std::string_view text) {
    return status == 422 || (status == 400 && text.starts_with("content hash "));
}

awaitable<result<std::string>> read_short(net::response& response) {
    co_return co_await response.read_all(limits::keepctl_response_bytes_max);
}

}  // namespace

std::optional<std::chrono::seconds> clock_ahead(const short_response& response) {
    using namespace std::chrono;
    if (!response.date) return std::nullopt;
    const auto ahead = *response.date + clock_date_error - response.middle;
    if (abs(ahead) <= clock_difference_shown) return seconds(0);
    return round<seconds>(ahead);
}

keep_server::keep_server(const net::client& client, protocol::block_server where, std::string identity,
                         const keep_access& access, listing_loops& loops)
    : client_(client),
      where_(std::move(where)),
      url_(net::to_string(where_.to)),
      identity_(std::move(identity)),
      access_(access),
      loops_(loops) {}

awaitable<result<short_response>> keep_server::request(std::string method, std::string target, std::string token,
                                                       deadline until, std::string body) const {
    const auto began = std::chrono::steady_clock::now();
    const auto began_at = std::chrono::system_clock::now();
    net::request r{.method = std::move(method), .to = where_.to, .target = where_.path + target};
    if (!token.empty()) r.headers.push_back({"Authorization", "Bearer " + token});
    if (!body.empty()) r.body.push_back(copy_to_heap_slice(std::as_bytes(std::span(body))));
    r.timing = silence_limits(limits::keepctl_silence_max);
    KS_CO_TRY(auto response, co_await client_.send(std::move(r), until));
    short_response out{.status = response.status()};
    // The system's clock may be set meanwhile; the steady one is not.
    out.middle = began_at + (std::chrono::steady_clock::now() - began) / 2;
    if (const auto date = response.get("Date"); !date.empty()) out.date = cloud::parse_http_date(date);
    KS_CO_TRY(out.body, co_await read_short(response));
    co_return out;
}

error keep_server::refused(const short_response& response, std::string_view what) const {
    if (response.status == 401 || response.status == 403) {
        const auto used = access_.token.empty() ? std::string("no token was given (--token-file, KEEPCTL_TOKEN)")
                                                : "the token used is that of " + access_.token_origin;
        return {response.status == 401 ? errc::unauthorized : errc::forbidden,
                fmt::format("{}: {} is refused ({}); it takes the SystemRootToken, and {}", url_, what, response.status,
                            used)};
    }
    return {response.status == 404 ? errc::not_found : errc::unavailable,
            fmt::format("{}: {} gets status {}: {}", url_, what, response.status, first_line(response.body))};
}

awaitable<result<mounts_response>> keep_server::mounts(deadline until) const {
    KS_CO_TRY(const auto response, co_await request("GET", "mounts", access_.token, until));
    if (response.status == 401 || response.status == 403) co_return std::unexpected(refused(response, "GET /mounts"));
    auto parsed = response.status == 200 ? parse_mounts(response.body, url_)
                                         : result<std::vector<mount_info>>(fail(errc::io_error));
    if (!parsed) {
        co_return fail(errc::unavailable,
                       fmt::format("{}: unexpected response, not of a keepstore: GET /mounts gets status {}: {}", url_,
                                   response.status, first_line(response.body)));
    }
    co_return mounts_response{.mounts = std::move(*parsed), .clock_ahead = clock_ahead(response)};
}

awaitable<result<void>> keep_server::index(std::string mount_uuid, std::string prefix, std::uint16_t mount,
                                           std::vector<entry>& out, deadline until, listing_notes* notes) const {
    co_return co_await run_on_loop(loops_.next(),
                                   read_index(std::move(mount_uuid), std::move(prefix), mount, out, until, notes));
}

awaitable<result<void>> keep_server::read_index(std::string mount_uuid, std::string prefix, std::uint16_t mount,
                                                std::vector<entry>& out, deadline until, listing_notes* notes) const {
    const std::string target =
        mount_uuid.empty() ? "index/" + prefix : fmt::format("mounts/{}/blocks?prefix={}", mount_uuid, prefix);
    net::request r{.to = where_.to, .target = where_.path + target};
    if (!access_.token.empty()) r.headers.push_back({"Authorization", "Bearer " + access_.token});
    r.timing = silence_limits(limits::listing_silence_max);
    KS_CO_TRY(auto response, co_await client_.send(std::move(r), until));
    if (response.status() != 200) {
        short_response got{.status = response.status()};
        KS_CO_TRY(got.body, co_await read_short(response));
        co_return std::unexpected(refused(got, "the index"));
    }
    protocol::index_parser parser(std::move(prefix));
    std::vector<protocol::index_line> lines;
    lines.reserve(limits::chunk_size_bytes / index_line_bytes_min);
    const auto buffer = std::make_unique_for_overwrite<std::byte[]>(limits::chunk_size_bytes);
    while (true) {
        KS_CO_TRY(const std::size_t count, co_await response.read_some({buffer.get(), limits::chunk_size_bytes}));
        if (count == 0) break;
        lines.clear();
        const std::string_view piece(reinterpret_cast<const char*>(buffer.get()), count);
        if (auto parsed = parser.parse(piece, lines); !parsed) {
            log::info("malformed index", {{"server", url_}, {"line", parser.bad_line()}});
            co_return fail(errc::unavailable, url_ + ": " + parsed.error().text);
        }
        auto next = out.size();
        out.resize(next + lines.size());
        for (const auto& line : lines) {
            entry& e = out[next++];  // Filled as it is: it would have to wait for a copy.
            e.block = line.block;
            e.size = static_cast<std::uint32_t>(line.size);
            e.mount = mount;
            e.mtime = line.mtime;
        }
    }
    if (auto end = parser.expect_end(); !end) co_return fail(errc::unavailable, url_ + ": " + end.error().text);
    if (notes) notes->too_large += parser.too_large();
    co_return success();
}

std::string keep_server::signed_locator(const md5_digest& name, std::optional<std::uint64_t> size) const {
    const std::string bare = size ? fmt::format("{}+{}", name.hex(), *size) : name.hex();
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    return access_.signer.sign(bare, access_.read_token, now);
}

awaitable<result<protocol::incoming_block>> keep_server::get(md5_digest name, std::optional<std::uint64_t> size,
                                                             deadline until) const {
    protocol::block_fetch what{.locator = signed_locator(name, size),
                               .token = access_.read_token,
                               .request_id = {},
                               .size = size,
                               .timing = silence_limits(limits::keepctl_silence_max),
                               .tell_bad_copies = true};
    auto opened = co_await protocol::open_block(client_, where_, std::move(what), until);
    // A server that refuses to say whether it has the block does not lack it.
    if (!opened && opened.error() == errc::not_found && opened.error().cause == std::errc::permission_denied) {
        opened.error().code = errc::forbidden;
        if (!access_.signer.has_key()) opened.error().text = fmt::format("{}: {}", url_, no_key);
    }
    co_return opened;
}

awaitable<result<std::uint64_t>> keep_server::head(md5_digest name, std::optional<std::uint64_t> size,
                                                   deadline until) const {
    net::request r{.method = "HEAD", .to = where_.to, .target = where_.path + signed_locator(name, size)};
    r.headers.push_back({"Authorization", "Bearer " + access_.read_token});
    r.timing = silence_limits(limits::keepctl_silence_max);
    KS_CO_TRY(auto response, co_await client_.send(std::move(r), until));
    const auto text = [&](std::string_view what) { return fmt::format("{}: {} ({})", url_, what, response.status()); };
    switch (response.status()) {
        case 200:
            if (!response.content_length()) co_return fail(errc::unavailable, text("HEAD without Content-Length"));
            co_return *response.content_length();
        case 404:
            co_return fail(errc::not_found, text("no such block"));
        case 502:
            co_return fail(errc::checksum_mismatch, text("its copy is bad"));
        case 400:
        case 401:
        case 403:
            co_return fail(errc::forbidden,
                           text(access_.signer.has_key()
                                    ? "refuses the signature; do both sides have the same signing key and clock?"
                                    : no_key));
        default:
            co_return fail(errc::unavailable, text("HEAD failed"));
    }
}

awaitable<result<stored_block>> keep_server::put(md5_digest name, net::body_source& body, std::string classes,
                                                 deadline until) const {
    net::request r{.method = "PUT", .to = where_.to, .target = where_.path + name.hex()};
    r.headers.push_back({"Authorization", "Bearer " + access_.read_token});
    if (!classes.empty()) r.headers.push_back({"X-Keep-Storage-Classes", std::move(classes)});
    r.timing = silence_limits(limits::keepctl_silence_max);
    r.source = &body;
    KS_CO_TRY(auto response, co_await client_.send(std::move(r), until));
    KS_CO_TRY(const std::string text, co_await read_short(response));
    const unsigned status = response.status();
    if (status != 200) {
        const auto code = status == 507                                         ? errc::no_space
                          : status == 401 || status == 403                      ? errc::forbidden
                          : status == 413                                       ? errc::too_large
                          : is_hash_mismatch(status, text)                      ? errc::checksum_mismatch
                          : status == 500 && text.starts_with("hash collision") ? errc::collision
                          : status >= 500 || status == 408 || status == 429     ? errc::unavailable
                                                                                : errc::bad_request;
        co_return fail(code, fmt::format("{}: PUT gets status {}: {}", url_, status, first_line(text)));
    }
    stored_block out{.locator = text.substr(0, text.find_first_of("\r\n"))};
    const auto parsed = protocol::locator::parse(out.locator);
    if (!parsed || parsed->hash != name || parsed->size.value_or(0) != body.size())
        co_return fail(errc::unavailable, url_ + ": responds to PUT with another locator than the block's");
    const auto replicas = response.get("X-Keep-Replicas-Stored");
    out.replicas = parse_number<decltype(out.replicas)>(replicas).value_or(0);
    if (out.replicas < 1)
        co_return fail(errc::unavailable, url_ + ": responds to PUT without a number of stored replicas");
    co_return out;
}

std::vector<std::size_t> probe_order(const md5_digest& block, std::span<const keep_server> servers) {
    std::vector<std::pair<md5_digest, std::size_t>> weights;
    for (std::size_t i = 0; i < servers.size(); ++i)
        weights.emplace_back(protocol::rendezvous_weight(block, servers[i].identity()), i);
    std::ranges::sort(weights, [](const auto& a, const auto& b) {
        return a.first != b.first ? a.first > b.first : a.second < b.second;
    });
    std::vector<std::size_t> out;
    for (const auto& [weight, i] : weights) out.push_back(i);
    return out;
}

std::string identity_of(std::string_view rendezvous_or_url) {
    return digest::md5_of(std::as_bytes(std::span(rendezvous_or_url))).hex().substr(0, identity_digits);
}

}  // namespace keepstore::keepctl
