/// Questions to the system's name service, of one client on one event loop. Such a question cannot be taken back, and
/// may take longer than any single caller waits: so there is one for each name at a time, shared by all who want to
/// know, and its answer is remembered also when nobody waits for it any more.
///
/// Used on the executor of the loop only. Held by the loop's connection_pool and by lookups under way.
#pragma once

#include "base/async.hpp"
#include "net/client/address_cache.hpp"

#include <boost/system/error_code.hpp>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace keepstore::net {

class name_lookups : public std::enable_shared_from_this<name_lookups> {
  public:
    using addresses = address_cache::addresses;
    using answer = std::pair<boost::system::error_code, addresses>;

    name_lookups(asio::any_io_executor executor, std::shared_ptr<address_cache> cache)
        : executor_(std::move(executor)), cache_(std::move(cache)) {}

    /// Asks for the addresses of a name, or joins those who do. The one-shot gets the answer; errc::cancelled if the
    /// loop goes. Nothing: too many lookups of other names are under way.
    [[nodiscard]] std::optional<one_shot<answer>> ask(const std::string& host);
    /// The caller does not wait any more.
    void leave(const std::string& host, const one_shot<answer>&);

  private:
    void end(const std::string& host, const result<answer>&);

    const asio::any_io_executor executor_;
    const std::shared_ptr<address_cache> cache_;
    std::map<std::string, std::vector<one_shot<answer>>> under_way_;  ///< By name: who waits.
};

}  // namespace keepstore::net
