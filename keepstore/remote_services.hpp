/// The keep services of another cluster, as its API server lists them for us (contract 7.3). The list is fetched when it
/// is needed and kept for a while; any number of readers share one fetch. Safe to use from any thread.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "base/md5_digest.hpp"
#include "keepstore/block_fetch.hpp"

#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::core {

struct remote_service {
    std::string uuid;
    block_server where;
};
using remote_service_list = std::vector<remote_service>;

/// The body of keep_services/accessible. Entries that cannot be used are left out.
/// \returns errc::unavailable if it is not such a list, or has nothing in it.
[[nodiscard]] result<remote_service_list> parse_service_list(std::string_view json);

/// In the order in which Keep clients look for this block (contract 4.5): md5(hash + last 15 characters of the uuid),
/// descending.
[[nodiscard]] std::vector<const remote_service*> in_probe_order(const remote_service_list&, const md5_digest& block);

class remote_services {
  public:
    using list_ptr = std::shared_ptr<const remote_service_list>;

    /// `client` must outlive it.
    remote_services(net::endpoint api, const net::client& client) : api_(std::move(api)), client_(client) {}

    /// errc::unavailable, timeout, cancelled.
    [[nodiscard]] awaitable<result<list_ptr>> get(deadline until);

    /// No service of the list could be reached: it is fetched anew, if it is not quite new.
    void suspect();

    [[nodiscard]] const net::client& client() const noexcept { return client_; }

  private:
    using clock = std::chrono::steady_clock;

    awaitable<result<list_ptr>> fetch(deadline until);
    awaitable<result<list_ptr>> ask(deadline until);

    const net::endpoint api_;
    const net::client& client_;
    std::mutex mutex_;
    // Guarded by mutex_.
    list_ptr list_;                  // Null until the first success.
    std::optional<error> last_error_;
    clock::time_point fetched_at_{};
    clock::time_point refresh_at_{};  // Until then list_, or last_error_, holds.
    bool fetching_ = false;
    std::deque<one_shot<bool>> waiters_;  // While there is no list.
};

}  // namespace keepstore::core
