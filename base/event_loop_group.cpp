#include "base/event_loop_group.hpp"

#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <utility>

namespace keepstore {

unsigned usable_processors() noexcept {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0) return std::max(1U, std::thread::hardware_concurrency());
    return static_cast<unsigned>(std::max(1, CPU_COUNT(&set)));
}

event_loop_group::event_loop_group(std::string name, unsigned count) : name_(std::move(name)) {
    for (unsigned i = 0; i < count; ++i) loops_.push_back(std::make_unique<loop>());
}

event_loop_group::~event_loop_group() {
    stop();
}

void event_loop_group::start() {
    for (std::size_t i = 0; i < loops_.size(); ++i) {
        loop& l = *loops_[i];
        l.thread = std::thread([&l, name = fmt::format("{}/{}", name_, i)] {
            pthread_setname_np(pthread_self(), name.c_str());
            l.context.run();
        });
    }
}

void event_loop_group::stop() {
    for (const auto& l : loops_) {
        l->work.reset();
        l->context.stop();
    }
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
