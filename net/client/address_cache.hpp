/// Addresses of host names, remembered for limits::net_addresses_lifetime. Bounded. Safe to use from any thread.
#pragma once

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

    /// Empty if nothing is known, or no longer.
    [[nodiscard]] addresses find(const std::string& host) const;
    void keep(const std::string& host, addresses);
    /// One of them has taken a connection, and others before it have not: it is the first from now on.
    void prefer(const std::string& host, const boost::asio::ip::address&);
    /// They did not work: ask again.
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
