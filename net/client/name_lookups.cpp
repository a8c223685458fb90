#include "net/client/name_lookups.hpp"

#include "base/log.hpp"
#include "net/limits.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>

#include <algorithm>

namespace keepstore::net {

awaitable<result<name_lookups::outcome>> name_lookups::find(const std::string& host, deadline until) {
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) co_return fail(errc::cancelled);
    auto& running = running_[host];
    if (!running) {
        if (running_.size() > limits::net_lookups_max) {
            running_.erase(host);
            co_return fail(errc::unavailable);
        }
        running = std::make_shared<flight_type>();
    }
    const auto lookup = running;  // The map forgets it when it ends.
    co_return co_await lookup->run([&](flight_type::flight flight) { start(host, std::move(flight)); }, until);
}

void name_lookups::start(const std::string& host, flight_type::flight flight) {
    // Both are held by the callback alone: the resolver must not outlive the context, and if the context ends instead
    // of calling back, the flight ends with errc::cancelled, which hands its waiting coroutines to the scheduler.
    // Nothing else owns them.
    auto resolver = std::make_shared<asio::ip::tcp::resolver>(executor_);
    const auto shared_flight = std::make_shared<flight_type::flight>(std::move(flight));
    auto& used = *resolver;
    auto done = [self = shared_from_this(), host, resolver = std::move(resolver), shared_flight](
                    const boost::system::error_code& code, const auto& results) {
        addresses found;
        for (const auto& r : results) {
            const auto address = r.endpoint().address();
            if (found.size() < limits::net_addresses_tried_max && std::ranges::find(found, address) == found.end())
                found.push_back(address);
        }
        if (!code && !found.empty()) self->cache_->keep(host, found);
        self->running_.erase(host);
        shared_flight->land(outcome(code, std::move(found)));
    };
    try {
        used.async_resolve(host, "", std::move(done));
    } catch (const boost::system::system_error& e) {
        // The first lookup of a loop makes its resolver thread. Without one the next lookup tries again.
        log::warning("cannot look up a name: threads cannot be made", {{"host", host}, {"error", e.code().message()}});
        running_.erase(host);
        shared_flight->land(outcome(e.code(), {}));
    }
}

}  // namespace keepstore::net
