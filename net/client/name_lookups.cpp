#include "net/client/name_lookups.hpp"

#include "net/limits.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/this_coro.hpp>

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
    auto& used = *resolver;
    used.async_resolve(host, "",
                       [self = shared_from_this(), host, resolver = std::move(resolver), flight = std::move(flight)](
                           const boost::system::error_code& code, const auto& results) mutable {
                           addresses found;
                           for (const auto& r : results) {
                               const auto address = r.endpoint().address();
                               if (found.size() < limits::net_addresses_tried_max &&
                                   std::ranges::find(found, address) == found.end()) {
                                   found.push_back(address);
                               }
                           }
                           if (!code && !found.empty()) self->cache_->keep(host, found);
                           self->running_.erase(host);
                           flight.land(outcome(code, std::move(found)));
                       });
}

}  // namespace keepstore::net
