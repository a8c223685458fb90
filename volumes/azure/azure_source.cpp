#include "volumes/azure/azure_source.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <utility>

namespace keepstore::volumes::azure {

awaitable<result<protocol::object_download>> azure_source::get(std::optional<protocol::byte_range> range,
                                                               std::string if_match) {
    const cloud::circuit_breaker::pending_call pending(*core_->breaker);
    co_return core_->noted(co_await core_->client.get(
        what_.name.hex(), {.range = range, .if_match = std::move(if_match)}, deadline::never()));
}

awaitable<result<protocol::object_download>> azure_source::open(std::optional<protocol::byte_range> range) {
    if (what_.opened) {
        KS_CO_TRY(auto body, co_await get_opened(range, *what_.opened));
        found_ = body.info();
        co_return std::move(body);
    }
    while (true) {
        {
            KS_CO_TRY(auto body, co_await get(range, {}));
            const auto& info = body.info();
            if (is_trashed(info.metadata)) co_return fail(errc::not_found);
            const bool being_written =
                core_->is_being_written(what_.name, info.size, core_->observed(what_.name.hex(), info.last_modified));
            if (!being_written) {
                found_ = info;
                co_return std::move(body);
            }
            if (!what_.fix_race) co_return fail(errc::not_found);
        }
        asio::steady_timer timer(co_await asio::this_coro::executor, core_->options.write_race_poll_time);
        const auto [stopped] = co_await expiry(timer);
        if (stopped) co_return fail(errc::cancelled);
    }
}

awaitable<result<protocol::object_download>> azure_source::open_range(protocol::byte_range range) {
    return get_opened(range, found_);
}

// A blob that was written again has the block's content, as far as it is known here; readers verify it like any other.
awaitable<result<protocol::object_download>> azure_source::get_opened(std::optional<protocol::byte_range> range,
                                                                      const protocol::object_info& opened) {
    auto body = co_await get(range, opened.validator());
    if (body || kind_of(body.error()) != error_kind::precondition) co_return body;
    // Each change of the metadata gives the blob another ETag.
    body = co_await get(range, {});
    if (body && (body->info().size != opened.size || body->info().content_md5 != opened.content_md5))
        co_return fail(errc::io_error, "the block was replaced while it was read");
    co_return body;
}

awaitable<result<protocol::name_values>> azure_source::metadata(deadline) {
    co_return found_.metadata;
}

}  // namespace keepstore::volumes::azure
