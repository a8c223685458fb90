/// Caches the addresses of host names for limits::net_addresses_lifetime. Bounded. Safe to use from any thread.
#pragma once

#include "net/limits.hpp"

#include <boost/asio/ip/address.hpp>

#include <chrono>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

namespace keepstore::net {

class address_cache {
  public:
    using addresses = std::vector<boost::asio::ip::address>;

    /// Returns the cached addresses; empty if there are none, or they are too old.
    [[nodiscard]] addresses find(const std::string& host) const;
    void keep(const std::string& host, addresses);
    /// Moves an address to the front: it accepted a connection when others before it did not.
    void prefer(const std::string& host, const boost::asio::ip::address&);
    /// Drops the addresses: none of them worked.
    void forget(const std::string& host);

  private:
    struct entry {
        addresses found;
        std::chrono::steady_clock::time_point until;
    };
    mutable std::mutex mutex_;
    std::unordered_map<std::string, entry> entries_;  ///< Guarded by mutex_.
};

}  // namespace keepstore::net
