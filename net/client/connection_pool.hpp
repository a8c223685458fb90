/// The connections of one client on one event loop: idle ones by server, the number in use, and the requests that wait
/// for one.
///
/// Used on the executor of the loop, but for close_from_any_thread(). Owned by a service of the io_context, and shared
/// by every running call.
#pragma once

#include "net/client/client_shared.hpp"
#include "net/client/name_lookups.hpp"
#include "net/client/timer_list.hpp"
#include "net/http/stream.hpp"

#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <variant>
#include <vector>

namespace keepstore::net {

class connection_pool : public std::enable_shared_from_this<connection_pool> {
    struct waiter;
    struct places;

  public:
    /// A permit for one connection to a server, given back on destruction.
    class place {
      public:
        place() = default;
        place(place&& other) noexcept : pool_(std::move(other.pool_)), of_(std::exchange(other.of_, nullptr)) {}
        place& operator=(place&& other) noexcept;
        ~place() { release(); }

        void release() noexcept;
        /// Gives the place back with a connection that can serve another request until `until`.
        void release(std::unique_ptr<stream> connection, steady::time_point until);

      private:
        friend class connection_pool;
        place(std::shared_ptr<connection_pool> pool, places* of) noexcept : pool_(std::move(pool)), of_(of) {}

        std::shared_ptr<connection_pool> pool_;
        places* of_ = nullptr;
    };

    struct acquired {
        place where;
        std::unique_ptr<stream> reused;  ///< Null: open one.
    };

    /// Returns the pool of this client on this executor's context, and makes it if there is none.
    [[nodiscard]] static std::shared_ptr<connection_pool> find(const std::shared_ptr<client_shared>&,
                                                               const asio::any_io_executor&);

    connection_pool(std::shared_ptr<client_shared>, const asio::any_io_executor&);
    ~connection_pool();

    /// Returns a place, and an idle connection if there is one and `fresh` is not set. Waits, first come first served,
    /// at most until `whole`. Awaited in place. \returns failure::pool_full, wait_timeout, closed, cancelled.
    [[nodiscard]] awaitable<result<acquired>> acquire(const endpoint&, timed_waiter&, steady::time_point whole,
                                                      bool fresh);

    [[nodiscard]] timer_list& timers() noexcept { return timers_; }
    [[nodiscard]] client_shared& shared() noexcept { return *shared_; }
    [[nodiscard]] name_lookups& lookups() noexcept { return *lookups_; }

    /// Drops idle connections and fails waiters: the client is closed. From any thread, also while the context is being
    /// destroyed.
    void close_from_any_thread();
    /// The context is being destroyed.
    void context_ends() noexcept;

  private:
    struct idle_connection {
        std::unique_ptr<stream> connection;
        steady::time_point until;
    };
    /// A waiting acquire(), on its frame. No async_semaphore: a place is counted for a waiter when it is woken, waits
    /// are limited by the loop's tick instead of a timer each, and all of them end with the io_context. A place that
    /// was granted and not taken goes to the next waiter.
    struct waiter {
        waiter(connection_pool&, places&);
        ~waiter();
        waiter(const waiter&) = delete;
        waiter& operator=(const waiter&) = delete;

        connection_pool& pool;
        places& in;
        std::list<waiter*>::iterator at;
        one_shot<std::monostate> turn;
        bool listed = true;    ///< In places::waiters.
        bool granted = false;  ///< A place was counted for it.
        steady::time_point since = steady::now();
    };
    struct places {
        endpoint to;
        unsigned in_use = 0;
        std::deque<idle_connection> idle;  ///< The most recently used at the back.
        std::list<waiter*> waiters;
    };

    [[nodiscard]] places& places_of(const endpoint&);
    [[nodiscard]] std::unique_ptr<stream> take_idle(places&);
    [[nodiscard]] result<acquired> refuse_closed(const endpoint&);
    void drop(idle_connection&) noexcept;
    void put_back(places&) noexcept;
    void close_now();
    [[nodiscard]] steady::time_point housekeeping(steady::time_point now);

    const std::shared_ptr<client_shared> shared_;
    const asio::any_io_executor executor_;
    const std::shared_ptr<name_lookups> lookups_;
    std::list<places> servers_;  ///< Few; empty ones are removed by the tick.
    timer_list timers_;
    bool ended_ = false;  ///< The context is being destroyed: no more timers, no more idle connections.

    std::mutex context_mutex_;
    bool context_gone_ = false;  ///< Guarded by context_mutex_.
};

}  // namespace keepstore::net
