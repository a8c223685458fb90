/// The keep services of another cluster, as its API server lists them for us (docs/interface.md 3.8). The list is
/// fetched when it is needed and kept for a while; any number of readers share one fetch, which goes on when they
/// leave. An old list is served while a new one is fetched. Safe to use from any thread.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "base/limits.hpp"
#include "base/md5_digest.hpp"
#include "protocol/block_fetch.hpp"

#include <chrono>
#include <deque>
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

/// The body of keep_services/accessible. Entries that cannot be used are left out.
/// \returns errc::unavailable if it is not such a list, or has nothing in it.
[[nodiscard]] result<remote_service_list> parse_service_list(std::string_view json);

/// In the order in which Keep clients look for this block (docs/interface.md 3.4): md5(hash + last 15 characters of the
/// uuid), descending.
[[nodiscard]] std::vector<const remote_service*> in_probe_order(const remote_service_list&, const md5_digest& block);

struct remote_services_options {
    std::chrono::steady_clock::duration lifetime = limits::remote_services_lifetime;
    std::chrono::steady_clock::duration served_max = limits::remote_services_served_max;
    std::chrono::steady_clock::duration retry_after = limits::remote_services_retry_after;
};

/// Held by a shared_ptr: a fetch under way holds one, too.
class remote_services : public std::enable_shared_from_this<remote_services> {
  public:
    using list_ptr = std::shared_ptr<const remote_service_list>;

    /// `client` is used while coroutines run that call get(), and fetches that they began.
    remote_services(net::endpoint api, const net::client& client, remote_services_options options = {})
        : api_(std::move(api)), client_(client), options_(options) {}

    /// Fetches run on the executor of the first caller that needs one. errc::unavailable, timeout, cancelled.
    [[nodiscard]] awaitable<result<list_ptr>> get(deadline until);
    /// Ends all waiting: the loops will go, in any order.
    void close();

    /// No service of the list could be reached: it is fetched anew, if it is not quite new.
    void suspect();

    [[nodiscard]] const net::client& client() const noexcept { return client_; }

  private:
    using clock = std::chrono::steady_clock;

    /// Stands for the one fetch under way. When it goes, however that ended, those who wait are woken and look again.
    class fetch_mark;

    static awaitable<void> fetch(std::shared_ptr<remote_services> self, std::unique_ptr<fetch_mark> mark);
    awaitable<result<list_ptr>> ask(deadline until);
    void keep(result<list_ptr> got);
    void fetch_ended();

    const net::endpoint api_;
    const net::client& client_;
    const remote_services_options options_;
    std::mutex mutex_;
    // Guarded by mutex_.
    list_ptr list_;  // Null until the first success.
    std::optional<error> last_error_;
    clock::time_point fetched_at_{};
    clock::time_point refresh_at_{};  // Until then list_, or last_error_, holds.
    bool fetching_ = false;
    std::deque<one_shot<bool>> waiters_;  // While there is no list, or a very old one.
};

}  // namespace keepstore::protocol
