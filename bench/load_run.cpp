#include "bench/load_run.hpp"

#include "bench/worker.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <memory>
#include <thread>

namespace keepstore::bench {

namespace {

using seconds_real = std::chrono::duration<double>;

constexpr std::chrono::milliseconds poll_interval{2};
constexpr std::chrono::milliseconds sample_interval{100};

double own_cpu_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

class server_watch {
  public:
    explicit server_watch(const std::vector<pid_t>& pids) : pids_(pids) {
        // The sum of several processes' peaks would be no peak: those are sampled.
        peak_is_ours_ = pids_.size() == 1 && reset_peak(pids_.front());
        before_ = read();
        sample();
    }

    void sample() {
        const auto now = read();
        if (!now) return;
        last_ = now;
        cost_.rss_peak_bytes = std::max(cost_.rss_peak_bytes, peak_is_ours_ ? now->rss_peak_bytes : now->rss_bytes);
        cost_.rss_anon_peak_bytes = std::max(cost_.rss_anon_peak_bytes, now->rss_anon_bytes);
        cost_.threads_peak = std::max(cost_.threads_peak, now->threads);
        cost_.descriptors_peak = std::max(cost_.descriptors_peak, now->descriptors);
    }

    std::optional<server_cost> finish() {
        sample();
        if (!before_ || !last_) return std::nullopt;
        cost_.user_seconds = last_->cpu_user_seconds - before_->cpu_user_seconds;
        cost_.system_seconds = last_->cpu_system_seconds - before_->cpu_system_seconds;
        cost_.rss_start_bytes = before_->rss_bytes;
        return cost_;
    }

  private:
    [[nodiscard]] std::optional<proc_stats> read() const {
        std::optional<proc_stats> sum;
        for (const auto pid : pids_) {
            const auto one = read_proc_stats(pid);
            if (one && !sum)
                sum = one;
            else if (one)
                sum->add(*one);
        }
        return sum;
    }

    const std::vector<pid_t>& pids_;
    bool peak_is_ours_ = false;
    std::optional<proc_stats> before_;
    std::optional<proc_stats> last_;
    server_cost cost_;
};

window_result measure(load_control& control, int window) {
    const auto& options = control.options;
    window_result result;
    server_watch server(options.server_pids);
    const auto cpu_before = own_cpu_seconds();
    const auto begin = steady::now();
    control.window = window;
    control.last_window = static_cast<std::size_t>(window);
    control.clients_active = true;
    const auto limit = seconds_real(options.count > 0 ? options.time_limit_seconds : options.seconds);
    auto next_sample = begin + sample_interval;
    while (steady::now() - begin < limit) {
        if (options.count > 0 && control.completed.load() >= options.count) break;
        std::this_thread::sleep_for(poll_interval);
        if (steady::now() < next_sample) continue;
        next_sample += sample_interval;
        server.sample();
        const auto tcp = read_tcp_stats();
        result.sockets.sockets_peak = std::max(result.sockets.sockets_peak, tcp.sockets);
        result.sockets.bytes_peak = std::max(result.sockets.bytes_peak, tcp.memory_bytes);
    }
    control.window = -1;
    auto end = steady::now();
    result.server = server.finish();
    result.client_cpu_seconds = own_cpu_seconds() - cpu_before;
    // A run by count ends with its last operation, not with our noticing.
    if (options.count > 0 && control.completed.load() >= options.count) {
        end = steady::time_point(steady::duration(control.last_completion.load()));
    }
    result.seconds = seconds_real(end - begin).count();
    return result;
}

}  // namespace

load_result run_load(load_control& control) {
    const auto& options = control.options;
    std::vector<std::unique_ptr<worker>> workers;
    for (unsigned i = 0; i < options.threads; ++i) {
        workers.push_back(std::make_unique<worker>(control, i, options.threads));
    }
    load_result result;
    {
        std::vector<std::jthread> threads;
        for (const auto& w : workers) threads.emplace_back([&w] { w->run(); });
        const bool alone_first = options.compare_alone && options.has_slow();
        const int windows = alone_first ? 2 : 1;
        for (int window = 0; window < windows; ++window) {
            const bool with_slow = options.has_slow() && window == windows - 1;
            if (with_slow) {
                control.slow_active = true;
                std::this_thread::sleep_for(seconds_real(options.settle_seconds));
            }
            if (window == 0 && options.count == 0 && options.warmup_seconds > 0) {
                control.clients_active = true;
                std::this_thread::sleep_for(seconds_real(options.warmup_seconds));
            }
            result.windows.push_back(measure(control, window));
            result.windows.back().name = with_slow ? "with slow" : "alone";
        }
        control.draining = true;
        control.quit = true;
    }
    for (const auto& w : workers) {
        for (std::size_t i = 0; i < result.windows.size(); ++i) result.windows[i].stats.merge(w->stats(i));
        for (std::size_t i = 0; i < role_count; ++i) result.open_at_end[i] += w->open_at_end()[i];
        const auto& bytes = w->client_bytes();
        result.client_bytes.insert(result.client_bytes.end(), bytes.begin(), bytes.end());
    }
    std::ranges::sort(result.client_bytes);
    return result;
}

}  // namespace keepstore::bench
