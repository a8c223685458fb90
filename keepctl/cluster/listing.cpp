#include "keepctl/cluster/listing.hpp"

#include "base/when_all.hpp"
#include "keepctl/cluster/limits.hpp"
#include "keepctl/cluster/shards.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <utility>

namespace keepstore::keepctl {
namespace {

awaitable<result<void>> list_once(place_listing& listing, std::string prefix) {
    listing.entries.clear();
    listing.notes = {};
    co_return co_await listing.place->list(prefix, listing.entries, listing.notes,
                                           deadline::in(limits::listing_time_max));
}

awaitable<void> list_one_place(place_listing& listing, std::string prefix) {
    const std::function<awaitable<result<void>>()> once = [&] { return list_once(listing, prefix); };
    listing.end = co_await list_in_attempts(once);
    if (listing.end) sort_entries(listing.entries);
}

std::uint64_t entries_in(std::span<const place_listing> places) {
    std::uint64_t out = 0;
    for (const auto& p : places) out += p.entries.size();
    return out;
}

}  // namespace

awaitable<result<void>> list_in_attempts(std::function<awaitable<result<void>>()> once) {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    for (unsigned number = 1;; ++number) {
        auto end = co_await once();
        if (end || end.error() == errc::cancelled || is_final(end.error()) || number == limits::listing_attempts_max)
            co_return end;
        timer.expires_after(limits::listing_pauses[number - 1]);
        if (const auto [failed] = co_await expiry(timer); failed) co_return fail(errc::cancelled);
    }
}

awaitable<result<void>> list_places(std::span<place_listing> places, std::string prefix) {
    std::vector<awaitable<void>> calls;
    for (auto& p : places) calls.push_back(list_one_place(p, prefix));
    if (co_await when_all(std::move(calls))) co_return fail(errc::cancelled);
    for (const auto& p : places) KS_CO_CHECK(p.end);
    co_return success();
}

awaitable<result<std::uint64_t>> estimate_entries(std::span<place_listing> places) {
    KS_CO_CHECK(co_await list_places(places, "000"));
    unsigned looked_at = 3;
    if (entries_in(places) < limits::estimate_entries_min) {
        KS_CO_CHECK(co_await list_places(places, "0"));
        looked_at = 1;
    }
    co_return entries_in(places) * shard_count(looked_at);
}

unsigned digits_for(std::uint64_t entries) {
    return std::max(1U, shard_digits(entries));
}

awaitable<result<unsigned>> estimate_digits(std::span<place_listing> places) {
    KS_CO_TRY(const auto entries, co_await estimate_entries(places));
    co_return digits_for(entries);
}

}  // namespace keepstore::keepctl
