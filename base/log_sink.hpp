/// The spdlog sink of base/log.hpp, which says why there is one of our own: gathers lines and writes them to stderr
/// from a thread of its own, many at a time. Safe to call from any thread; never destroyed.
#pragma once

#include <spdlog/sinks/sink.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace keepstore::log {

// Lines arrive formatted. spdlog's base_sink would bring a formatter of its own, which takes longer to compile than the
// rest of base/.
class batching_sink final : public spdlog::sinks::sink {
  public:
    void log(const spdlog::details::log_msg& message) override;
    void flush() override {}
    void set_pattern(const std::string&) override {}
    void set_formatter(std::unique_ptr<spdlog::formatter>) override {}

    /// Waits until all lines logged so far are written, or drops them: stderr is a pipe that is full, for example.
    void drain();

    [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_.load(std::memory_order_relaxed); }

  private:
    bool have_thread();
    void write_now(std::string_view line);
    [[noreturn]] void write_for_ever();

    std::mutex queue_mutex_;
    std::condition_variable work_;
    std::condition_variable written_;
    // Guarded by queue_mutex_.
    std::string queue_;
    bool started_ = false;
    bool idle_ = false;
    bool urgent_ = false;
    std::uint64_t queued_lines_ = 0;
    std::uint64_t written_lines_ = 0;

    std::atomic<std::uint64_t> dropped_{0};
};

}  // namespace keepstore::log
