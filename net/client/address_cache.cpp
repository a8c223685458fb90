#include "net/client/address_cache.hpp"

#include "net/limits.hpp"

#include <algorithm>

namespace keepstore::net {

address_cache::addresses address_cache::find(const std::string& host) const {
    const std::lock_guard lock(mutex_);
    const auto at = entries_.find(host);
    if (at == entries_.end() || at->second.until <= std::chrono::steady_clock::now()) return {};
    return at->second.found;
}

void address_cache::keep(const std::string& host, addresses found) {
    const auto until = std::chrono::steady_clock::now() + limits::net_addresses_lifetime;
    const std::lock_guard lock(mutex_);
    if (entries_.size() >= limits::net_addresses_kept_max) entries_.clear();
    entries_[host] = {std::move(found), until};
}

void address_cache::prefer(const std::string& host, const boost::asio::ip::address& works) {
    const std::lock_guard lock(mutex_);
    const auto at = entries_.find(host);
    if (at == entries_.end()) return;
    auto& found = at->second.found;
    const auto where = std::ranges::find(found, works);
    if (where != found.end()) std::rotate(found.begin(), where, where + 1);
}

void address_cache::forget(const std::string& host) {
    const std::lock_guard lock(mutex_);
    entries_.erase(host);
}

}  // namespace keepstore::net
