#include "base/event_loop_group.hpp"

#include "base/log.hpp"

#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <system_error>
#include <utility>

namespace keepstore {

unsigned usable_processors() noexcept {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0) return std::max(1U, std::thread::hardware_concurrency());
    return static_cast<unsigned>(std::max(1, CPU_COUNT(&set)));
}

event_loop_group::event_loop_group(const std::string& name, unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
        auto next = std::make_unique<loop>();
        try {
            next->thread = std::thread([this, &l = *next, title = fmt::format("{}/{}", name, i)] {
                pthread_setname_np(pthread_self(), title.c_str());
                begin_.wait();
                l.context.run();
            });
        } catch (const std::system_error& e) {
            if (loops_.empty()) throw std::system_error(e.code(), "cannot make a thread for an event loop");
            log::warning("fewer event loops than configured: threads cannot be made",
                         {{"loops", name}, {"configured", count}, {"made", i}, {"error", e.code().message()}});
            return;
        }
        loops_.push_back(std::move(next));
    }
}

event_loop_group::~event_loop_group() {
    stop();
}

void event_loop_group::start() {
    begun_ = true;
    begin_.count_down();
}

void event_loop_group::stop() {
    for (const auto& l : loops_) {
        l->work.reset();
        l->context.stop();
    }
    if (!begun_) start();
    for (const auto& l : loops_)
        if (l->thread.joinable()) l->thread.join();
}

std::vector<asio::any_io_executor> event_loop_group::executors() const {
    std::vector<asio::any_io_executor> out;
    for (const auto& l : loops_) out.emplace_back(l->context.get_executor());
    return out;
}

asio::any_io_executor event_loop_group::next_executor() noexcept {
    const auto i = next_.fetch_add(1, std::memory_order_relaxed);
    return loops_[i % loops_.size()]->context.get_executor();
}

}  // namespace keepstore
