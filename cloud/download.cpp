#include "cloud/download.hpp"

#include "base/log.hpp"
#include "base/units.hpp"
#include "net/http/text.hpp"
#include "s3/limits.hpp"
#include "cloud/transport_error.hpp"

#include <fmt/format.h>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <array>
#include <charconv>

namespace keepstore::s3 {
namespace {

constexpr std::string_view metadata_prefix = "x-amz-meta-";

std::unexpected<error> without_header(std::string_view what) {
    return std::unexpected(make_error(error_kind::malformed_response, fmt::format("no {} in the response", what)));
}

struct content_range {
    std::uint64_t first;
    std::uint64_t last;
    std::uint64_t total;
};

std::optional<std::uint64_t> take_number(std::string_view& text) {
    std::uint64_t value = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failed != std::errc()) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return value;
}

bool take(std::string_view& text, std::string_view expected) {
    if (!text.starts_with(expected)) return false;
    text.remove_prefix(expected.size());
    return true;
}

// "bytes 0-9/1000"
std::optional<content_range> parse_content_range(std::string_view text) {
    if (!take(text, "bytes ")) return std::nullopt;
    const auto first = take_number(text);
    if (!first || !take(text, "-")) return std::nullopt;
    const auto last = take_number(text);
    if (!last || !take(text, "/")) return std::nullopt;
    const auto total = take_number(text);
    if (!total || !text.empty() || *first > *last || *last >= *total) return std::nullopt;
    return content_range{*first, *last, *total};
}

std::string range_header(const byte_range& range) {
    if (!range.length) return fmt::format("bytes={}-", range.offset);
    return fmt::format("bytes={}-{}", range.offset, range.offset + *range.length - 1);
}

}  // namespace

result<object_info> read_object_info(const net::response& response) {
    object_info out;
    if (response.status() == 206) {
        const auto range = parse_content_range(response.get("content-range"));
        if (!range) return without_header("Content-Range");
        out.size = range->total;
    } else {
        out.size_is_certain = response.content_length().has_value();
        out.size = response.content_length().value_or(0);
    }
    out.etag = strip_quotes(response.get("etag"));
    out.etag_is_weak = is_weak(response.get("etag"));
    out.last_modified = parse_http_date(response.get("last-modified")).value_or(sys_seconds{});
    bool from_s3 = !out.etag.empty() || out.last_modified != sys_seconds{};
    for (const auto& header : response.headers()) {
        auto name = lower_case(header.name);
        from_s3 = from_s3 || name.starts_with("x-amz-");
        if (name.starts_with(metadata_prefix)) {
            out.metadata.emplace_back(name.substr(metadata_prefix.size()), header.value);
        }
    }
    // Not the page of a proxy.
    if (!from_s3) return without_header("header of S3");
    return out;
}

// GET /key
// range: bytes=0-9
// if-match: "etag"
awaitable<result<void>> object_download::state::open(std::optional<byte_range> what, std::string if_match) {
    call c{.op = operation::get, .method = "GET", .key = key};
    if (what) c.headers.emplace_back("range", range_header(*what));
    const bool weak = is_weak(if_match);
    if (!if_match.empty() && !weak) c.headers.emplace_back("if-match", fmt::format("\"{}\"", if_match));

    bool unsized = false;
    const response_check check = [&](const full_response& got) -> result<void> {
        KS_TRY(auto found, read_object_info(got.response));
        std::uint64_t first = 0;
        std::uint64_t count = 0;
        if (got.response.status() == 206) {
            const auto range = parse_content_range(got.response.get("content-range"));
            if (range) count = range->last - range->first + 1;
            if (!range || got.response.content_length().value_or(count) != count) {
                return without_header("matching Content-Range");
            }
            first = range->first;
        } else {
            unsized = !found.size_is_certain && !measured && !what;
            if (unsized) return success();
            if (!found.size_is_certain) {
                if (!measured) return std::unexpected(make_error(error_kind::unsupported, "no length of the object"));
                found.size = *measured;
                found.size_is_certain = !counted;
            }
            count = found.size;
        }
        const auto wanted_first = what ? what->offset : 0;
        if (first != wanted_first) {
            // A 200 to a range that begins later: the body is the whole object.
            return std::unexpected(make_error(error_kind::unsupported, "the service does not honour Range"));
        }
        const auto until_end = found.size - first;
        const auto wanted = what && what->length ? std::min(*what->length, until_end) : until_end;
        if (count < wanted) return without_header("complete range");
        if (count > wanted && got.response.status() != 206) {
            return std::unexpected(make_error(error_kind::unsupported, "the service does not honour Range"));
        }
        if (weak && found.etag != strip_quotes(if_match)) {
            return std::unexpected(make_error(error_kind::precondition, "the object was replaced"));
        }
        if (opened) {
            if (found.etag != info.etag || found.size != info.size) {
                return std::unexpected(
                    make_error(error_kind::precondition, "the object was replaced while it was read"));
            }
            return success();
        }
        info = std::move(found);
        offset = first;
        length = wanted;
        return success();
    };
    auto got = co_await core->run(std::move(c), check, session, until);
    if (!got) {
        if (kind_of(got.error()) == error_kind::not_found && !opened) {
            co_return std::unexpected(co_await core->explain_missing(std::move(got.error()), until));
        }
        co_return std::unexpected(std::move(got.error()));
    }
    if (unsized) {
        KS_CO_CHECK(co_await measure(std::move(got->response)));
        co_return co_await open(what, std::move(if_match));
    }
    opened = true;
    response.emplace(std::move(got->response));
    co_return success();
}

// A body that ends with its connection may have been cut: then the size is not certain.
awaitable<result<void>> object_download::state::measure(net::response unsized) {
    const response_check any = [](const full_response&) { return success(); };
    const auto head = co_await core->run({.op = operation::head, .method = "HEAD", .key = key}, any, session, until);
    if (head && head->response.content_length()) {
        measured = head->response.content_length();
        co_return success();
    }
    counted = !unsized.has("transfer-encoding");
    std::uint64_t size = 0;
    std::array<std::byte, 16 * KiB> dropped;
    while (true) {
        auto count = co_await unsized.read_some(dropped);
        if (!count) co_return std::unexpected(from_transport(std::move(count.error())));
        if (*count == 0) break;
        size += *count;
    }
    measured = size;
    co_return success();
}

awaitable<result<void>> object_download::state::resume(error broken) {
    response.reset();
    if (position - progress_mark >= limits::s3_resume_progress_bytes) {
        session.note_progress();
        progress_mark = position;
    }
    const auto wait = session.next_wait(kind_of(broken), deadline::clock::now());
    if (!wait) co_return std::unexpected(std::move(broken));
    core->stats().resumed_downloads.add();
    log::debug("resuming S3 download after a broken connection", {{"error", broken.text}, {"position", position}});
    const auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer(executor, *wait);
    const auto [stopped] = co_await expiry(timer);
    if (stopped) co_return std::unexpected(make_error(error_kind::cancelled));
    co_return co_await open(byte_range{offset + position, length - position}, info.validator());
}

object_download::object_download(std::unique_ptr<state> s) noexcept : state_(std::move(s)) {}
object_download::object_download(object_download&&) noexcept = default;
object_download& object_download::operator=(object_download&&) noexcept = default;
object_download::~object_download() = default;

const object_info& object_download::info() const noexcept {
    return state_->info;
}
std::uint64_t object_download::offset() const noexcept {
    return state_->offset;
}
std::uint64_t object_download::length() const noexcept {
    return state_->length;
}
std::uint64_t object_download::remaining() const noexcept {
    return state_->length - state_->position;
}

awaitable<result<std::size_t>> object_download::read_some(std::span<std::byte> into) {
    auto& s = *state_;
    while (true) {
        if (s.failed) co_return std::unexpected(*s.failed);
        if (remaining() == 0) co_return std::size_t{0};
        const auto room = into.first(static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), remaining())));
        auto got = co_await s.response->read_some(room);
        if (got && *got > 0) {
            s.position += *got;
            s.core->stats().bytes_in.add(*got);
            // Gives the connection back as soon as the body is complete.
            if (remaining() == 0) s.response.reset();
            co_return *got;
        }
        auto broken = got ? make_error(error_kind::network, "S3 get: the body ended early")
                          : from_transport(std::move(got.error()));
        auto resumed = co_await s.resume(std::move(broken));
        if (!resumed) s.failed = std::move(resumed.error());
    }
}

awaitable<result<std::size_t>> object_download::read_full(std::span<std::byte> into) {
    std::size_t done = 0;
    while (done < into.size()) {
        KS_CO_TRY(const auto got, co_await read_some(into.subspan(done)));
        if (got == 0) break;
        done += got;
    }
    co_return done;
}

}  // namespace keepstore::s3
