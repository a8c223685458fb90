/// Lookups by the system's name service, for one client on one event loop. A lookup cannot be cancelled, and may take
/// longer than any caller waits: so there is one for each name at a time, shared by all its callers, and its addresses
/// are cached even if all callers have left.
///
/// Used on the executor of the loop only. Held by the loop's connection_pool and by running lookups.
#pragma once

#include "base/single_flight.hpp"
#include "net/client/address_cache.hpp"

#include <boost/system/error_code.hpp>

#include <map>
#include <memory>
#include <string>
#include <utility>

namespace keepstore::net {

class name_lookups : public std::enable_shared_from_this<name_lookups> {
  public:
    using addresses = address_cache::addresses;
    using outcome = std::pair<boost::system::error_code, addresses>;

    name_lookups(asio::any_io_executor executor, std::shared_ptr<address_cache> cache)
        : executor_(std::move(executor)), cache_(std::move(cache)) {}

    /// Looks up the addresses of a name, or joins the running lookup. Awaited in place.
    /// \returns what the name service returned; errc::timeout; errc::cancelled, also when the loop ends;
    /// errc::unavailable while too many lookups of other names are running.
    [[nodiscard]] awaitable<result<outcome>> find(const std::string& host, deadline until);

  private:
    using flight_type = single_flight<outcome>;
    void start(const std::string& host, flight_type::flight flight);

    const asio::any_io_executor executor_;
    const std::shared_ptr<address_cache> cache_;
    std::map<std::string, std::shared_ptr<flight_type>> running_;  ///< By name.
};

}  // namespace keepstore::net
