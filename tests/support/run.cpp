#include "tests/support/run.hpp"

#include <memory>
#include <mutex>
#include <stdexcept>
#include <vector>

namespace keepstore::test {

asio::io_context& new_context() {
    static std::mutex mutex;
    static auto& all = *new std::vector<std::unique_ptr<asio::io_context>>;
    const std::lock_guard lock(mutex);
    return *all.emplace_back(std::make_unique<asio::io_context>(1));
}

void run_to_end(asio::io_context& context, awaitable<void> work, std::chrono::seconds limit) {
    context.restart();
    std::exception_ptr thrown;
    bool finished = false;
    spawn(context.get_executor(), std::move(work), [&](std::exception_ptr e) {
        thrown = std::move(e);
        finished = true;
    });
    context.run_for(limit);
    if (!finished) throw std::runtime_error("timed out");
    if (thrown) std::rethrow_exception(thrown);
}

bool turn_until(asio::io_context& context, const std::function<bool()>& holds) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(40);
    while (!holds() && std::chrono::steady_clock::now() < limit) {
        context.restart();
        context.run_for(std::chrono::milliseconds(2));
    }
    return holds();
}

void run_to_cancellation(asio::io_context& context, awaitable<void> work, const std::function<bool()>& when) {
    asio::cancellation_signal signal;
    std::exception_ptr thrown;
    bool finished = false;
    spawn(context.get_executor(), std::move(work), signal.slot(), [&](std::exception_ptr e) {
        thrown = std::move(e);
        finished = true;
    });
    bool cancelled = false;
    const auto ended = [&] {
        if (!finished && !cancelled && when()) {
            cancelled = true;
            signal.emit(asio::cancellation_type::total);
        }
        return finished;
    };
    if (!turn_until(context, ended)) throw std::runtime_error("timed out");
    if (thrown) std::rethrow_exception(thrown);
}

loop_thread::loop_thread()
    : context_(new_context()), work_(context_.get_executor()), thread_([this] { context_.run(); }) {}

loop_thread::~loop_thread() {
    work_.reset();
    thread_.join();
}

}  // namespace keepstore::test
