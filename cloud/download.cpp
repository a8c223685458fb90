#include "cloud/download.hpp"

#include "base/log.hpp"
#include "base/units.hpp"
#include "cloud/content_range.hpp"
#include "cloud/limits.hpp"
#include "cloud/transport_error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace keepstore::cloud {
namespace {

constexpr std::string_view unknown_size = "no length of the object";

std::string range_header(const byte_range& range) {
    if (!range.length) return fmt::format("bytes={}-", range.offset);
    return fmt::format("bytes={}-{}", range.offset, range.offset + *range.length - 1);
}

}  // namespace

download_state::download_state(std::shared_ptr<call_runner> runner, std::string key, deadline until)
    : runner_(std::move(runner)),
      service_(runner_->service()),
      key_(std::move(key)),
      until_(until),
      session_(runner_->retries(), until) {}

awaitable<result<object_download>> begin_download(std::shared_ptr<call_runner> runner, std::string key,
                                                  get_options options, deadline until) {
    auto state = std::make_unique<download_state>(std::move(runner), std::move(key), until);
    KS_CO_CHECK(co_await state->begin(std::move(options)));
    co_return object_download(std::move(state));
}

awaitable<result<void>> download_state::begin(get_options options) {
    if (options.range && options.range->length && *options.range->length == 0) {
        co_return fail(errc::bad_request, "an empty range");
    }
    measured_ = options.size;
    KS_CO_CHECK(co_await open(options.range, std::move(options.if_match)));
    // Nothing to read: gives the connection back.
    if (length_ == 0) response_.reset();
    co_return success();
}

// GET /key
awaitable<result<net::response>> download_state::send_get(name_values headers, inquiry& asked) {
    call c{.op = asked.range ? service_.get_range : service_.get,
           .method = "GET",
           .key = key_,
           .headers = std::move(headers),
           .reads_body = false};
    const response_check of_head = [&](const full_response& got) { return accept(asked, got.response); };
    KS_CO_TRY(auto got, co_await runner_->run(std::move(c), of_head, session_, until_));
    co_return std::move(got.response);
}

awaitable<std::optional<std::uint64_t>> download_state::ask_size() {
    call c{.op = service_.head, .method = "HEAD", .key = key_};
    const auto head = co_await runner_->run(std::move(c), accept_any, session_, until_);
    co_return head ? head->response.content_length() : std::nullopt;
}

// range: bytes=0-9
// if-match: "etag"
awaitable<result<void>> download_state::open(std::optional<byte_range> what, std::string if_match) {
    name_values headers;
    if (what) headers.emplace_back("range", range_header(*what));
    if (!if_match.empty() && !is_weak(if_match)) headers.emplace_back("if-match", fmt::format("\"{}\"", if_match));
    inquiry asked{.range = what, .if_match = std::move(if_match)};
    auto got = co_await send_get(std::move(headers), asked);
    if (!got) {
        if (kind_of(got.error()) == error_kind::not_found && !opened_) {
            co_return std::unexpected(co_await runner_->explain_missing(std::move(got.error()), until_));
        }
        co_return std::unexpected(std::move(got.error()));
    }
    if (asked.unsized) {
        KS_CO_CHECK(co_await measure(std::move(*got)));
        co_return co_await open(what, std::move(asked.if_match));
    }
    opened_ = true;
    response_.emplace(std::move(*got));
    co_return success();
}

result<void> download_state::accept(inquiry& asked, const net::response& response) {
    const auto refuse = [&](error_kind kind, std::string_view why) {
        return std::unexpected(service_.make_error(kind, why));
    };
    const auto& what = asked.range;
    // HTTP knows no empty 206: Azurite sends it for a range that begins at the end, with "bytes 5-4/5".
    if (what && response.status() == 206 && response.content_length() == 0) {
        return refuse(error_kind::invalid_range, "an empty range");
    }
    KS_TRY(auto found, runner_->read_info(response));
    std::uint64_t first = 0;
    std::uint64_t count = 0;
    asked.unsized = false;
    if (response.status() == 206) {
        const auto range = parse_content_range(response.get("content-range"));
        if (range) count = range->last - range->first + 1;
        if (!range || response.content_length().value_or(count) != count) {
            return lacks(service_, "matching Content-Range");
        }
        first = range->first;
        if (!range->total) {
            const auto size = opened_ ? std::optional(info_.size) : measured_;
            asked.unsized = !size;
            if (asked.unsized) return success();
            if (range->last >= *size) return lacks(service_, "matching Content-Range");
            found.size = *size;
            found.size_is_certain = true;
        }
    } else {
        asked.unsized = !found.size_is_certain && !measured_ && !what;
        if (asked.unsized) return success();
        if (!found.size_is_certain) {
            if (!measured_) return refuse(error_kind::unsupported, unknown_size);
            found.size = *measured_;
            found.size_is_certain = !counted_;
        }
        count = found.size;
    }
    const auto wanted_first = what ? what->offset : 0;
    // A 200 to a range that begins later: the body is the whole object.
    if (first != wanted_first) return refuse(error_kind::unsupported, "the service does not honour Range");
    const auto until_end = found.size - first;
    const auto wanted = what && what->length ? std::min(*what->length, until_end) : until_end;
    if (count < wanted) return lacks(service_, "complete range");
    if (count > wanted && response.status() != 206) {
        return refuse(error_kind::unsupported, "the service does not honour Range");
    }
    if (is_weak(asked.if_match) && found.etag != strip_quotes(asked.if_match)) {
        return refuse(error_kind::precondition, "the object was replaced");
    }
    return adopt(std::move(found), first, wanted);
}

result<void> download_state::adopt(object_info found, std::uint64_t first, std::uint64_t count) {
    validator_ = found.validator();
    if (!opened_) {
        info_ = std::move(found);
        offset_ = first;
        length_ = count;
        return success();
    }
    // With the MD5 of the content a new ETag may be one of new metadata.
    const bool same = found.etag == info_.etag || (info_.content_md5 && found.content_md5 == info_.content_md5);
    if (same && found.size == info_.size) return success();
    return std::unexpected(service_.make_error(error_kind::precondition, "the object was replaced while it was read"));
}

// A body that ends with its connection may have been cut: then the size is not certain.
awaitable<result<void>> download_state::measure(net::response unsized) {
    measured_ = co_await ask_size();
    if (measured_) co_return success();
    if (unsized.status() == 206) co_return std::unexpected(service_.make_error(error_kind::unsupported, unknown_size));
    counted_ = !unsized.has("transfer-encoding");
    std::uint64_t size = 0;
    std::array<std::byte, 16 * KiB> dropped;
    while (true) {
        auto count = co_await unsized.read_some(dropped);
        if (!count) co_return std::unexpected(from_transport(std::move(count.error())));
        if (*count == 0) break;
        size += *count;
    }
    measured_ = size;
    co_return success();
}

awaitable<result<void>> download_state::resume(error broken) {
    response_.reset();
    if (position_ - progress_mark_ >= limits::cloud_resume_progress_bytes) {
        session_.note_progress();
        progress_mark_ = position_;
    }
    const auto wait = session_.next_wait(kind_of(broken), deadline::clock::now());
    if (!wait) co_return std::unexpected(std::move(broken));
    runner_->stats().resumed_downloads.add();
    log::debug(fmt::format("resuming {} download after a broken connection", service_.name),
               {{"error", broken.text}, {"position", position_}});
    if (const auto waited = co_await pause_for(*wait); !waited)
        co_return std::unexpected(service_.make_error(error_kind::cancelled, {}));
    const byte_range rest{offset_ + position_, length_ - position_};
    auto opened = co_await open(rest, validator_);
    const bool may_be_touched = !opened && kind_of(opened.error()) == error_kind::precondition && info_.content_md5;
    if (!may_be_touched) co_return opened;
    // adopt() compares the content.
    co_return co_await open(rest, {});
}

awaitable<result<std::size_t>> download_state::read_some(std::span<std::byte> into) {
    while (true) {
        if (failed_) co_return std::unexpected(*failed_);
        if (remaining() == 0) co_return std::size_t{0};
        const auto room = into.first(static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), remaining())));
        auto got = co_await response_->read_some(room);
        if (got && *got > 0) {
            position_ += *got;
            runner_->stats().bytes_in.add(*got);
            // Gives the connection back as soon as the body is complete.
            if (remaining() == 0) response_.reset();
            co_return *got;
        }
        auto broken =
            got ? service_.make_error(error_kind::network, fmt::format("{} get: the body ended early", service_.name))
                : from_transport(std::move(got.error()));
        auto resumed = co_await resume(std::move(broken));
        if (!resumed) failed_ = std::move(resumed.error());
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

}  // namespace keepstore::cloud
