/// State that the sessions of one event loop share: the tick that enforces every time limit, the Date header, input
/// buffers, counters. There is no timer per operation or per request.
///
/// Used on its executor only, except where noted.
#pragma once

#include "net/http/input_buffer.hpp"
#include "net/server/server_exchange.hpp"
#include "net/server/transport_options.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/intrusive/list.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace keepstore::net {

class session;
class stream;

using session_hook = boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::safe_link>>;

class session_loop : public std::enable_shared_from_this<session_loop> {
  public:
    using clock = std::chrono::steady_clock;

    /// `closed` is called for every connection that ended. `application` must outlive the sessions.
    session_loop(asio::any_io_executor executor, handler& application, const transport_options& options,
                 std::function<void()> closed);
    ~session_loop();
    session_loop(const session_loop&) = delete;
    session_loop& operator=(const session_loop&) = delete;

    /// Begins ticking. Safe to call from any thread.
    void start();
    /// Ends ticking, when no session is left. Safe to call from any thread.
    void stop();

    /// Starts a session. It lives until its connection ends.
    void adopt(std::unique_ptr<stream>, std::string remote_address, bool tls);
    /// Counts a connection that could not become a session as closed.
    void count_closed() { closed_(); }

    /// From now on responses say "Connection: close", and idle connections are closed.
    void begin_drain();
    /// Cancels running requests.
    void cancel_all(cancel_reason);
    /// Cuts every connection.
    void kill_all();
    /// Closes the connection that has been idle for the longest time. \returns false if none is idle.
    bool close_oldest_idle();

    [[nodiscard]] const asio::any_io_executor& executor() const noexcept { return executor_; }
    [[nodiscard]] bool draining() const noexcept { return draining_; }
    [[nodiscard]] const transport_options& options() const noexcept { return options_; }
    [[nodiscard]] handler& application() noexcept { return application_; }
    [[nodiscard]] input_cache& buffers() noexcept { return buffers_; }
    /// "Date: Sat, 21 Nov 2026 04:02:07 GMT\r\n", at most one tick old.
    [[nodiscard]] const std::string& date_line() const noexcept { return date_line_; }

    /// Safe to read from any thread.
    struct counters {
        std::atomic<std::size_t> idle{0};
        std::atomic<std::uint64_t> refused{0};   ///< Malformed requests.
        std::atomic<std::uint64_t> too_slow{0};  ///< Cut for the minimum transfer rate.
        std::atomic<std::uint64_t> header_timeouts{0};
    };
    counters count;

    // --- for sessions -------------------------------------------------------------------------------------------
    void session_idle(session&);    ///< Waits for the next request.
    void session_active(session&);  ///< Does anything else.
    /// A head of this many bytes was freed: large ones are given back to the system soon.
    void freed_head(std::size_t bytes) noexcept {
        if (bytes > limits::input_buffer_bytes) large_freed_ += bytes;
    }

  private:
    using session_list = boost::intrusive::list<session, boost::intrusive::base_hook<session_hook>,
                                                boost::intrusive::constant_time_size<false>>;

    static awaitable<void> tick_until_stopped(std::shared_ptr<session_loop>);
    void tick();
    void tick_idle(clock::time_point now);
    void trim_memory(clock::time_point now);
    void update_date();
    void remove(session&);
    /// Returns the sessions of this moment: the lists may change while they are walked.
    [[nodiscard]] const std::vector<session*>& snapshot(bool with_idle);

    const asio::any_io_executor executor_;
    handler& application_;
    const transport_options options_;
    const std::function<void()> closed_;
    asio::steady_timer timer_;
    bool draining_ = false;
    bool stopped_ = false;
    session_list active_;
    session_list idle_;  ///< The longest idle first.
    std::vector<session*> scratch_;
    input_cache buffers_;
    std::size_t large_freed_ = 0;  ///< Bytes of large heads, since trimmed_at_.
    clock::time_point trimmed_at_{};
    std::string date_line_;
    std::time_t date_second_ = 0;
};

}  // namespace keepstore::net
