/// The keep services of another cluster, as its API server lists them for us (docs/interface.md 3.8): a cache of one
/// entry. The list is fetched on demand and fresh for a while; an expired one is served while it is renewed. Any number
/// of readers share one fetch, which goes on when they leave. Safe to use from any thread.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "base/md5_digest.hpp"
#include "base/single_flight.hpp"
#include "protocol/block_fetch.hpp"
#include "protocol/limits.hpp"

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::protocol {

struct remote_service {
    std::string uuid;
    block_server where;
};
using remote_service_list = std::vector<remote_service>;

/// Parses the body of keep_services/accessible. Unusable entries are left out.
/// \returns errc::unavailable if it is no such list, or has no usable entry.
[[nodiscard]] result<remote_service_list> parse_service_list(std::string_view json);

/// Sorts services as Keep clients do when they look for this block: by rendezvous weight, descending. The pointers are
/// into the list.
[[nodiscard]] std::vector<const remote_service*> in_probe_order(const remote_service_list&, const md5_digest& block);

struct remote_services_options {
    std::chrono::steady_clock::duration lifetime = limits::remote_services_lifetime;        ///< Fresh for so long.
    std::chrono::steady_clock::duration served_max = limits::remote_services_served_max;    ///< Served while renewed.
    std::chrono::steady_clock::duration retry_after = limits::remote_services_retry_after;  ///< After a failed fetch.
};

/// Held by a shared_ptr: a running fetch holds one, too.
class remote_services : public std::enable_shared_from_this<remote_services> {
  public:
    using list_ptr = std::shared_ptr<const remote_service_list>;

    /// `client` must outlive the calls of get() and the fetches that they start.
    remote_services(net::endpoint api, const net::client& client, remote_services_options options = {})
        : api_(std::move(api)), client_(client), options_(options) {}

    /// Returns the list, fetching it if need be, on the executor of the first caller that needs it. Awaited in place.
    /// \returns errc::unavailable, also for a while after a failed fetch; timeout; cancelled.
    [[nodiscard]] awaitable<result<list_ptr>> get(deadline until);
    /// Ends all waits with errc::cancelled: the callers' loops are about to end.
    void close() { fetch_.dismiss_callers(); }

    /// Reports that no service of the list could be reached: it is fetched again, unless it is younger than
    /// retry_after.
    void suspect();

    [[nodiscard]] const net::client& client() const noexcept { return client_; }

  private:
    using clock = std::chrono::steady_clock;

    using flight = single_flight<list_ptr>::flight;

    void start_fetch(const asio::any_io_executor& executor, flight waiters);
    static awaitable<void> fetch(std::shared_ptr<remote_services> self, flight waiters);
    awaitable<result<list_ptr>> request_list(deadline until);
    /// The list, or the error of the last fetch, if it is not yet time for another one.
    std::optional<result<list_ptr>> fresh();
    /// Keeps the outcome of a fetch. \returns what its callers get: after a failure the old list, if there is one.
    result<list_ptr> keep(result<list_ptr> fetched);

    const net::endpoint api_;
    const net::client& client_;
    const remote_services_options options_;
    single_flight<list_ptr> fetch_;
    std::mutex mutex_;
    // Guarded by mutex_.
    list_ptr list_;                    // Null until the first success.
    std::optional<error> last_error_;  // Of the last fetch, if it failed.
    clock::time_point fetched_at_{};   // Of list_.
    clock::time_point refresh_at_{};   // Until then list_, or else last_error_, is returned.
};

}  // namespace keepstore::protocol
