#include "volumes/directory/directory_writer.hpp"

#include "base/limits.hpp"
#include "volumes/directory/limits.hpp"
#include "volumes/directory/write_state.hpp"
#include "volumes/limits.hpp"

#include <utility>

namespace keepstore::volumes::directory {
namespace {

// Writes what is queued, up to a limit. The next append or commit returns its error.
class drain_job final : public blocking_pool::job {
  public:
    drain_job(std::shared_ptr<directory_core> core, std::shared_ptr<write_state> state)
        : core_(std::move(core)), state_(std::move(state)), turn_(state_) {}

    const error* run() override {
        if (abandoned()) return nullptr;
        core_->run_deferred();
        outcome_ = turn_.enter().drain(limits::write_job_bytes_max);
        turn_.leave();
        return outcome_ ? nullptr : &outcome_.error();
    }
    void expire(error why) override { state_->give_up(std::move(why)); }
    bool ends_at_stall() const noexcept override { return state_->ends_at_stall(); }

  private:
    const std::shared_ptr<directory_core> core_;
    const std::shared_ptr<write_state> state_;
    write_state::turn turn_;
    result<void> outcome_;
};

class directory_writer final : public block_writer {
  public:
    directory_writer(std::shared_ptr<directory_core> core, std::shared_ptr<blocking_pool> pool, const md5_digest& name,
                     std::optional<std::uint64_t> size)
        : core_(std::move(core)), pool_(std::move(pool)), state_(std::make_shared<write_state>(core_, name, size)) {}

    ~directory_writer() override {
        auto file = state_->abandon();
        if (!file) return;
        // Not on the event loop: closing a large deleted file may take long.
        auto remove = [f = std::move(file)]() mutable { f.reset(); };
        if (pool_->snapshot().queued < core_->options.queue_max) {
            static_cast<void>(pool_->post(std::move(remove)));
        } else {
            core_->defer(std::move(remove));
        }
    }

    awaitable<result<void>> append(const_slice bytes, deadline until) override {
        state_->set_ends_at_stall(until.ends_at_stall());
        KS_CO_CHECK(state_->push(std::move(bytes)));
        if (state_->lazy()) co_return success();
        while (true) {
            if (state_->claim_drain()) start_drain();
            KS_CO_TRY(auto ticket, state_->space(queue_bytes_));
            if (ticket) {
                KS_CO_CHECK(co_await state_->wait(std::move(*ticket), until));
                continue;
            }
            if (!state_->claim_drain()) co_return success();
            start_drain();  // The previous job ended between claim_drain and space.
        }
    }

    void set_queue_bytes(std::size_t bytes) noexcept override { queue_bytes_ = bytes; }

    awaitable<result<std::size_t>> read_back(std::uint64_t offset, mutable_slice into, deadline until) override {
        // Waits for the job to end; if it hangs, reads without that.
        if (auto ticket = state_->idle(); ticket && *ticket) {
            const auto idle = co_await state_->wait(std::move(**ticket), until);
            if (!idle && idle.error() == errc::cancelled) co_return std::unexpected(idle.error());
        }
        std::size_t done = 0;
        std::uint64_t in_file = 0;
        std::shared_ptr<temp_file> file;
        done = state_->read_queued(offset, into.bytes, in_file, file);
        if (file && offset < in_file) {
            const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), in_file - offset));
            auto call = [f = std::move(file), offset, part = into.subslice(0, want)]() mutable {
                auto n = f->read_at(offset, part.bytes);
                f.reset();
                return n;
            };
            KS_CO_TRY(done, co_await pool_->run(std::move(call), until));
            if (done == want && done < into.size()) {
                std::shared_ptr<temp_file> unused;
                done += state_->read_queued(offset + done, into.bytes.subspan(done), in_file, unused);
            }
        }
        co_return done;
    }

    awaitable<result<void>> commit(write_state::attribute attribute, deadline until) override {
        state_->set_ends_at_stall(until.ends_at_stall());
        while (true) {
            KS_CO_TRY(auto ticket, state_->idle());
            if (!ticket) break;
            KS_CO_CHECK(co_await state_->wait(std::move(*ticket), until));
        }
        if (!state_->claim()) co_return fail(errc::io_error, "writer is used from two places");
        auto job = [core = core_, turn = write_state::turn(state_), attr = std::move(attribute), until]() mutable {
            core->run_deferred();
            auto r = turn.enter().commit(attr, until);
            turn.leave();
            return r;
        };
        auto r = co_await pool_->run(std::move(job), until, blocking_pool::work::commit);
        if (!r) state_->give_up(r.error());
        co_return r;
    }

  private:
    void start_drain() {
        auto job = std::make_shared<drain_job>(core_, state_);
        const auto queued = pool_->submit(job, deadline::never(), blocking_pool::work::write);
        if (!queued) state_->give_up(queued.error());
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
