#include "volumes/directory/directory_writer.hpp"

#include "base/limits.hpp"
#include "base/wait_until.hpp"
#include "volumes/directory/write_state.hpp"

#include <utility>

namespace keepstore::volumes::directory {
namespace {

// Waits for `wake` for as long as a call to the volume may take.
awaitable<result<void>> wait_for(write_state::signal wake, deadline until) {
    const auto woken =
        co_await wait_until(std::move(wake), until.within(limits::volume_call_timeout), "volume does not respond");
    if (!woken) co_return std::unexpected(woken.error());
    co_return result<void>{};
}

class directory_writer final : public block_writer {
  public:
    directory_writer(std::shared_ptr<directory_core> core, std::shared_ptr<blocking_pool> pool, const md5_digest& name,
                     std::optional<std::uint64_t> size)
        : core_(std::move(core)), pool_(std::move(pool)), state_(std::make_shared<write_state>(core_, name, size)) {}

    ~directory_writer() override {
        auto file = state_->abandon();
        if (!file) return;
        // Closing a large deleted file takes the file system a while; not on the event loop.
        auto remove = [f = std::move(file)]() mutable { f.reset(); };
        if (pool_->snapshot().queued < core_->options.queue_max) {
            static_cast<void>(pool_->post(std::move(remove)));
        } else {
            core_->defer(std::move(remove));
        }
    }

    awaitable<result<void>> append(const_slice bytes, deadline until) override {
        if (auto r = state_->push(std::move(bytes)); !r) co_return r;
        if (state_->lazy()) co_return result<void>{};
        while (true) {
            if (state_->claim_drain()) start_drain();
            auto next = state_->space(queue_bytes_);
            if (next.failed) co_return std::unexpected(*next.failed);
            if (!next.wake) {
                if (state_->claim_drain()) {  // The job ended between the two questions.
                    start_drain();
                    continue;
                }
                co_return result<void>{};
            }
            auto r = co_await wait_for(*next.wake, until);
            if (!r) co_return r;
        }
    }

    void set_queue_bytes(std::size_t bytes) noexcept override { queue_bytes_ = std::max<std::size_t>(bytes, 1); }

    awaitable<result<std::size_t>> read_back(std::uint64_t offset, mutable_slice into, deadline until) override {
        // A job that runs is given time to end; one that hangs is read around.
        if (auto next = state_->idle(); next.wake) {
            const auto idle = co_await wait_for(*next.wake, until);
            if (!idle && idle.error() == errc::cancelled) co_return std::unexpected(idle.error());
        }
        std::size_t done = 0;
        std::uint64_t in_file = 0;
        std::shared_ptr<temp_file> file;
        done = state_->read_waiting(offset, into.bytes, in_file, file);
        if (file && offset < in_file) {
            const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), in_file - offset));
            auto call = [f = std::move(file), offset, part = into.subslice(0, want)]() mutable {
                auto n = f->read_at(offset, part.bytes);
                f.reset();
                return n;
            };
            auto n = co_await pool_->run(std::move(call), until.within(limits::volume_call_timeout));
            if (!n) co_return n;
            done = *n;
            if (done == want && done < into.size()) {
                std::shared_ptr<temp_file> unused;
                done += state_->read_waiting(offset + done, into.bytes.subspan(done), in_file, unused);
            }
        }
        co_return done;
    }

    awaitable<result<void>> commit(write_state::attribute attribute, deadline until) override {
        while (true) {
            auto next = state_->idle();
            if (next.failed) co_return std::unexpected(*next.failed);
            if (!next.wake) break;
            auto r = co_await wait_for(*next.wake, until);
            if (!r) co_return r;
        }
        if (!state_->claim()) co_return fail(errc::io_error, "writer is used from two places");
        const auto limit = until.within(limits::volume_call_timeout);
        auto job = [core = core_, turn = write_state::turn(state_), attr = std::move(attribute), limit]() mutable {
            core->run_deferred();
            auto r = turn.enter().commit(attr, limit);
            turn.leave();
            return r;
        };
        auto r = co_await pool_->run(std::move(job), limit);
        if (!r) state_->fail_with(r.error());
        co_return r;
    }

  private:
    void start_drain() {
        auto job = [core = core_, turn = write_state::turn(state_)]() mutable {
            core->run_deferred();
            auto r = turn.enter().drain(limits::write_job_bytes_max);
            turn.leave();
            return r;
        };
        // The result is seen by the next append or commit.
        static_cast<void>(pool_->start(std::move(job), deadline::in(limits::volume_call_timeout)));
    }

    const std::shared_ptr<directory_core> core_;
    const std::shared_ptr<blocking_pool> pool_;
    const std::shared_ptr<write_state> state_;
    std::size_t queue_bytes_ = limits::request_queue_bytes_max;
};

}  // namespace

std::unique_ptr<block_writer> make_directory_writer(std::shared_ptr<directory_core> core,
                                                    std::shared_ptr<blocking_pool> pool, const md5_digest& name,
                                                    std::optional<std::uint64_t> size) {
    return std::make_unique<directory_writer>(std::move(core), std::move(pool), name, size);
}

}  // namespace keepstore::volumes::directory
