/// One client connection: sends a request, reads the reply, measures, begins the next. A state
/// machine that lives on one worker thread; it never blocks. An unlimited connection is driven by
/// epoll; a rate-limited one is not registered there at all, a timer tick moves as many bytes as
/// the time since the last tick allows, and none while an operation is held (--hold).
#pragma once

#include "bench/content.hpp"
#include "bench/http_client.hpp"
#include "bench/load_control.hpp"
#include "bench/load_stats.hpp"

#include <openssl/evp.h>

#include <cstdint>
#include <memory>
#include <string>

namespace keepstore::bench {

class worker;

class connection {
  public:
    /// \param bytes_per_second 0: unlimited.
    connection(worker& owner, role purpose, double bytes_per_second);
    ~connection();
    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;

    void start(steady::time_point now);
    void on_event(std::uint32_t events, steady::time_point now);
    void on_timer(steady::time_point now);
    void check_timeout(steady::time_point now);

    [[nodiscard]] role purpose() const { return purpose_; }
    [[nodiscard]] bool open() const { return fd_ >= 0; }
    [[nodiscard]] bool busy() const { return state_ != state::idle && state_ != state::pausing; }
    /// Body bytes that moved within the last measured window in which any did.
    [[nodiscard]] std::uint64_t window_bytes() const { return window_bytes_; }
    /// The current body differs from what was written (--body verify).
    [[nodiscard]] bool content_differs() const { return content_differs_; }

  private:
    enum class state { idle, pausing, sending, reading_head, reading_body };
    enum class step { again, wait };

    bool begin(steady::time_point now);
    bool choose_operation();
    void drive(steady::time_point now);
    step send_some();
    step read_head(steady::time_point now);
    step read_body(steady::time_point now);
    void take_body(const char* data, std::size_t size);
    void body_complete(steady::time_point now);
    bool content_is_right();
    void finish(const std::string& failure, steady::time_point now);
    step connection_failed(steady::time_point now);
    void close();
    void watch(std::uint32_t events);
    void schedule_tick(steady::time_point now);
    void count_body(role group, std::size_t bytes);
    [[nodiscard]] bool paced() const { return rate_ > 0; }
    [[nodiscard]] bool is_client() const;
    [[nodiscard]] std::size_t allowed(std::size_t wanted) const;
    void spend(std::size_t bytes);

    // Constant after construction.
    worker& worker_;
    const role purpose_;
    const double rate_;

    int fd_ = -1;
    std::uint32_t watched_ = 0;
    state state_ = state::idle;
    bool must_close_ = false;
    bool fresh_ = false;  ///< no reply has come over this connection yet

    // Pacing.
    double budget_ = 0;
    steady::time_point last_tick_;
    steady::time_point held_until_;

    const window_stats* window_ = nullptr;  ///< the one that window_bytes_ belongs to
    std::uint64_t window_bytes_ = 0;

    // The current operation.
    bool put_ = false;
    stored_block target_;
    block content_;
    std::uint64_t first_offset_ = 0;    ///< of a range
    std::uint64_t expected_bytes_ = 0;  ///< of the reply's body; GET only
    std::string request_;
    std::size_t request_sent_ = 0;
    std::uint64_t body_sent_ = 0;
    std::string head_text_;
    response_head head_;
    std::uint64_t body_received_ = 0;
    std::string body_text_;  ///< the start of a short reply
    bool content_differs_ = false;
    std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> hash_;
    bool hashing_ = false;
    steady::time_point started_;
    steady::time_point first_byte_;
};

}  // namespace keepstore::bench
