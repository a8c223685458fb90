#include "base/event_loop_group.hpp"

#include <fmt/format.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>

namespace keepstore {
namespace {

unsigned usable_processors() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0) return std::max(1u, std::thread::hardware_concurrency());
    return static_cast<unsigned>(std::max(1, CPU_COUNT(&set)));
}

}  // namespace

event_loop_group::event_loop_group(unsigned count) {
    const unsigned wanted = count == 0 ? usable_processors() : count;
    for (unsigned i = 0; i < wanted; ++i) loops_.push_back(std::make_unique<loop>());
}

event_loop_group::~event_loop_group() {
    stop();
}

void event_loop_group::start() {
    for (std::size_t i = 0; i < loops_.size(); ++i) {
        loop& l = *loops_[i];
        l.thread = std::thread([&l, i] {
            pthread_setname_np(pthread_self(), fmt::format("loop/{}", i).c_str());
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

}  // namespace keepstore
