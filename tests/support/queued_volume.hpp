/// A volume in memory whose writers hold what they are given until it is "written", as those of real volumes do, and
/// whose calls take time, hang and fail as a plan says. All of it runs on one event loop.
///
/// A call that was given up, because its caller was cancelled or its writer destroyed, goes on and holds its share in
/// the memory until it ends, as a call does that hangs on a thread.
#pragma once

#include "base/async_condition.hpp"
#include "base/limits.hpp"
#include "tests/support/memory_volume.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <chrono>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace keepstore::test {

class queued_volume final : public volumes::volume {
  public:
    enum class call { read, write, commit, create };
    /// What becomes of a call: how long it takes, and whether it fails then.
    struct fate {
        std::chrono::microseconds takes{0};
        std::optional<error> fails = {};
    };

    explicit queued_volume(std::string device_id) : inner(std::move(device_id)) {}

    memory_volume inner;
    /// Called at the begin of each call. `bytes` were written or read by this writer or reader before.
    std::function<fate(call, std::uint64_t bytes)> plan = [](call, std::uint64_t) { return fate{}; };

    /// As the cloud drivers: the last piece of a block of known size waits for its commit.
    bool keeps_last = false;

    const std::string& device_id() const noexcept override { return inner.device_id(); }
    awaitable<result<std::unique_ptr<volumes::block_reader>>> open(md5_digest name, deadline until) override {
        KS_CO_TRY(auto opened, co_await inner.open(name, until));
        co_return std::make_unique<reader>(*this, std::move(opened));
    }
    awaitable<result<std::unique_ptr<volumes::block_writer>>> create(md5_digest name, std::optional<std::uint64_t> size,
                                                                     deadline) override {
        KS_CO_CHECK(co_await meet(plan(call::create, 0)));
        co_return std::make_unique<writer>(*this, name, size);
    }
    awaitable<result<void>> touch(md5_digest name, deadline until) override { return inner.touch(name, until); }
    awaitable<result<volumes::block_time>> mtime(md5_digest name, deadline until) override {
        return inner.mtime(name, until);
    }
    awaitable<result<volumes::trash_outcome>> trash(md5_digest name, volumes::trash_options o,
                                                    deadline until) override {
        return inner.trash(name, o, until);
    }
    awaitable<result<void>> untrash(md5_digest name, deadline until) override { return inner.untrash(name, until); }
    awaitable<result<volumes::empty_trash_stats>> empty_trash(unsigned concurrency, deadline until) override {
        return inner.empty_trash(concurrency, until);
    }
    awaitable<result<void>> index(std::string prefix, volumes::index_sink& sink, deadline until) override {
        return inner.index(std::move(prefix), sink, until);
    }
    volumes::volume_stats stats() const override { return inner.stats(); }
    std::string health() const override { return inner.health(); }

  private:
    using attribute = std::optional<std::pair<std::string, std::vector<std::byte>>>;

    static awaitable<void> pause(std::chrono::microseconds time) {
        const auto executor = co_await asio::this_coro::executor;
        asio::steady_timer timer(executor, time);
        co_await timer.async_wait(use_tuple);
    }
    // A call whose caller waits for it.
    static awaitable<result<void>> meet(fate ahead) {
        const auto executor = co_await asio::this_coro::executor;
        asio::steady_timer timer(executor, ahead.takes);
        const auto [stopped] = co_await timer.async_wait(use_tuple);
        if (stopped) co_return fail(errc::cancelled);
        if (ahead.fails) co_return std::unexpected(*ahead.fails);
        co_return success();
    }

    class reader final : public volumes::block_reader {
      public:
        reader(queued_volume& home, std::unique_ptr<volumes::block_reader> of) : home_(home), of_(std::move(of)) {}
        std::uint64_t size() const noexcept override { return of_->size(); }
        awaitable<result<std::size_t>> read_at(std::uint64_t offset, mutable_slice into, deadline until) override {
            const one_shot<std::monostate> done;
            const auto executor = co_await asio::this_coro::executor;
            const fate ahead = home_.plan(call::read, read_);
            spawn(executor, occupy(ahead.takes, into, done));
            KS_CO_CHECK(co_await done.wait());
            if (ahead.fails) co_return std::unexpected(*ahead.fails);
            read_ += into.size();
            co_return co_await of_->read_at(offset, std::move(into), until);
        }
        awaitable<result<bool>> equals_at(std::uint64_t offset, const_slice bytes, deadline until) override {
            KS_CO_CHECK(co_await meet(home_.plan(call::read, read_)));
            read_ += bytes.size();
            co_return co_await of_->equals_at(offset, std::move(bytes), until);
        }
        awaitable<result<std::vector<std::byte>>> read_attribute(std::string name, deadline until) override {
            return of_->read_attribute(std::move(name), until);
        }
        awaitable<result<void>> write_attribute(std::string name, std::vector<std::byte> value,
                                                deadline until) override {
            return of_->write_attribute(std::move(name), std::move(value), until);
        }

      private:
        static awaitable<void> occupy(std::chrono::microseconds time, mutable_slice memory,
                                      one_shot<std::monostate> done) {
            co_await pause(time);
            memory = {};
            done.set(std::monostate{});
        }

        queued_volume& home_;
        const std::unique_ptr<volumes::block_reader> of_;
        std::uint64_t read_ = 0;
    };

    // Shared by a writer and its job.
    struct state {
        state(queued_volume& v, std::optional<std::uint64_t> s) : home(v), size(s) {}

        queued_volume& home;
        const std::optional<std::uint64_t> size;
        std::mutex mutex;  // For the condition; there is one thread.
        std::string written;
        std::deque<const_slice> queue;
        std::size_t queued = 0;
        std::size_t queue_bytes = limits::request_queue_bytes_max;
        bool busy = false;
        bool committing = false;
        bool abandoned = false;
        std::optional<error> failed;
        async_condition changed{mutex};

        // As the Directory driver: a block of one chunk is written by its commit.
        [[nodiscard]] bool put_off() const {
            const std::size_t all = written.size() + queued;
            return size ? *size <= limits::chunk_size_bytes : all < limits::chunk_size_bytes;
        }
        [[nodiscard]] bool has_work() const {
            if (queue.empty() || failed) return false;
            const bool last = size && written.size() + queue.front().size() == *size;
            return !last || committing || !home.keeps_last;
        }
    };

    class writer final : public volumes::block_writer {
      public:
        writer(queued_volume& home, const md5_digest& name, std::optional<std::uint64_t> size)
            : home_(home), name_(name), state_(std::make_shared<state>(home, size)) {}
        ~writer() override {
            state_->abandoned = true;
            state_->queue.clear();
        }
        awaitable<result<void>> append(const_slice bytes, deadline until) override {
            state& s = *state_;
            if (s.failed) co_return std::unexpected(*s.failed);
            if (bytes.size() > 0) {
                s.queued += bytes.size();
                s.queue.push_back(std::move(bytes));
            }
            if (s.put_off()) co_return success();
            co_await start();
            std::unique_lock lock(s.mutex);
            while (!s.failed && s.busy && s.queued > s.queue_bytes) {
                KS_CO_CHECK(co_await s.changed.wait(lock, until));
            }
            if (s.failed) co_return std::unexpected(*s.failed);
            co_return success();
        }
        void set_queue_bytes(std::size_t bytes) noexcept override { state_->queue_bytes = bytes; }
        awaitable<result<std::size_t>> read_back(std::uint64_t offset, mutable_slice into, deadline) override {
            KS_CO_CHECK(co_await meet(home_.plan(call::read, offset)));
            std::string all = state_->written;
            for (const auto& slice : state_->queue)
                all.append(reinterpret_cast<const char*>(slice.bytes.data()), slice.size());
            const std::size_t from = std::min<std::size_t>(all.size(), offset);
            const std::size_t count = std::min(into.size(), all.size() - from);
            std::memcpy(into.bytes.data(), all.data() + from, count);
            co_return count;
        }
        awaitable<result<void>> commit(attribute extra, deadline until) override {
            state& s = *state_;
            s.committing = true;
            if (!s.failed) co_await start();
            {
                std::unique_lock lock(s.mutex);
                while (s.busy) KS_CO_CHECK(co_await s.changed.wait(lock, until));
            }
            if (s.failed) co_return std::unexpected(*s.failed);
            KS_CO_CHECK(co_await meet(home_.plan(call::commit, s.written.size())));
            home_.inner.plant(name_, s.written);
            if (extra) home_.inner.set_attribute(name_, extra->first, std::move(extra->second));
            co_return success();
        }

      private:
        awaitable<void> start() {
            if (state_->busy || !state_->has_work()) co_return;
            state_->busy = true;
            spawn(co_await asio::this_coro::executor, run(state_));
        }
        static awaitable<void> run(std::shared_ptr<state> s) {
            while (s->has_work()) {
                const_slice first = s->queue.front();
                const fate ahead = s->home.plan(call::write, s->written.size());
                co_await pause(ahead.takes);
                const std::lock_guard lock(s->mutex);
                if (ahead.fails) s->failed = ahead.fails;
                if (!s->failed && !s->abandoned) {
                    s->written.append(reinterpret_cast<const char*>(first.bytes.data()), first.size());
                    s->queued -= first.size();
                    s->queue.pop_front();
                }
                s->changed.notify_all();
            }
            const std::lock_guard lock(s->mutex);
            s->busy = false;
            s->changed.notify_all();
        }

        queued_volume& home_;
        const md5_digest name_;
        const std::shared_ptr<state> state_;
    };
};

}  // namespace keepstore::test
