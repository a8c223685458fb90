#include "net/client/name_lookups.hpp"

#include "base/limits.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <algorithm>

namespace keepstore::net {

std::optional<one_shot<name_lookups::answer>> name_lookups::ask(const std::string& host) {
    one_shot<answer> mine;
    if (const auto at = under_way_.find(host); at != under_way_.end()) {
        at->second.push_back(mine);
        return mine;
    }
    if (under_way_.size() >= limits::net_lookups_max) return std::nullopt;
    // Held by the callback alone: the resolver must not outlive the context, and if the context goes instead of calling
    // back, those who wait are told; their coroutines, owned by nobody else, are then handed to the scheduler.
    auto resolver = std::make_shared<asio::ip::tcp::resolver>(executor_);
    std::shared_ptr<void> last(nullptr,
                               [self = shared_from_this(), host](void*) { self->end(host, fail(errc::cancelled)); });
    auto take = [self = shared_from_this(), host, resolver, end = std::move(last)](
                    const boost::system::error_code& code, const auto& results) {
        addresses found;
        for (const auto& r : results) {
            const auto address = r.endpoint().address();
            if (found.size() < limits::net_addresses_tried_max && std::ranges::find(found, address) == found.end()) {
                found.push_back(address);
            }
        }
        if (!code && !found.empty()) self->cache_->keep(host, found);
        self->end(host, answer(code, std::move(found)));
    };
    under_way_[host].push_back(mine);
    resolver->async_resolve(host, "", std::move(take));
    return mine;
}

void name_lookups::leave(const std::string& host, const one_shot<answer>& mine) {
    const auto at = under_way_.find(host);
    if (at != under_way_.end()) std::erase_if(at->second, [&](const auto& w) { return w.same_as(mine); });
}

void name_lookups::end(const std::string& host, const result<answer>& what) {
    const auto at = under_way_.find(host);
    if (at == under_way_.end()) return;
    const auto waiting = std::move(at->second);
    under_way_.erase(at);
    for (const auto& w : waiting) w.set(what);
}

}  // namespace keepstore::net
