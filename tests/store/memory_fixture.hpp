/// A block store over volumes that hold memory and fail as a test plans (tests/support/queued_volume.hpp), with many
/// requests on one event loop, for tests of what they do when memory is short.
#pragma once

#include "store/block_store.hpp"
#include "tests/store/store_fixture.hpp"
#include "tests/support/queued_volume.hpp"

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace keepstore::test {

struct memory_fixture {
    struct budget {
        std::size_t request_chunks = 256;
        std::size_t copy_chunks = limits::copy_pool_bytes / chunk;
        std::size_t scratch_chunks = limits::scratch_pool_bytes / chunk;
    };

    memory_fixture(std::size_t volume_count, budget memory)
        : pool(memory.request_chunks * chunk),
          store({.blob_signing = false,
                 .blob_signing_key = "",
                 .protect_for = std::chrono::hours(1),
                 .blob_trash = true,
                 .trash_lifetime = std::chrono::hours(1),
                 .copy_pool_bytes = memory.copy_chunks * chunk,
                 .scratch_pool_bytes = memory.scratch_chunks * chunk},
                store::mount_table(make_mounts(volume_count)), pool, engine) {}

    ~memory_fixture() {
        // Calls that were given up, and chunks that are being hashed, come back a moment later.
        CHECK(turn_until(context, [&] { return in_use() == 0; }));
        turn_until(context, [&] { return context.stopped(); });
    }

    [[nodiscard]] std::size_t in_use() {
        const auto& c = store.context();
        return pool.snapshot().in_use_bytes + c.copy_pool.snapshot().in_use_bytes +
               c.scratch_pool.snapshot().in_use_bytes;
    }

    std::vector<store::mount> make_mounts(std::size_t count) {
        std::vector<store::mount> out;
        for (std::size_t i = 0; i < count; ++i) {
            volumes.push_back(std::make_shared<queued_volume>("device" + std::to_string(i)));
            volumes.back()->inner.keep_attributes(true);
            store::mount m;
            m.uuid = "zzzzz-nyw5e-00000000000000" + std::to_string(i);
            m.volume = volumes.back();
            m.allow_write = m.allow_trash = true;
            m.storage_classes["default"] = true;
            m.storage_classes["class" + std::to_string(i)] = true;
            m.priority = static_cast<int>(count - i);  // The order is the mounts' own, whatever the hash.
            out.push_back(std::move(m));
        }
        return out;
    }

    /// One request and what became of it.
    struct task {
        asio::cancellation_signal signal;
        std::optional<result<void>> outcome;
        [[nodiscard]] bool ended() const { return outcome.has_value(); }
        [[nodiscard]] bool ok() const { return outcome && outcome->has_value(); }
    };

    /// Starts a request on the loop; it runs when the test turns it. `work` returns a coroutine.
    task& spawn(awaitable<result<void>> work) {
        auto& t = tasks.emplace_back();
        keepstore::spawn(
            context.get_executor(),
            test::then(run_cancellable(std::move(work)), [&t](result<void> r) { t.outcome.emplace(std::move(r)); }),
            t.signal.slot(), [&t](const std::exception_ptr& e) {
                if (e) t.outcome.emplace(fail(errc::io_error, "exception"));
            });
        return t;
    }

    struct put_options {
        std::vector<std::string> classes = {};
        bool announce = true;
        std::chrono::milliseconds limit{60'000};
    };
    task& put(const std::string& content) { return put(content, {}); }
    task& put(const std::string& content, put_options o) { return spawn(put_later(content, std::move(o))); }
    task& get(const std::string& content) { return spawn(get_later(content)); }

    awaitable<result<void>> put_later(std::string content, put_options o) {
        const auto name = name_of(content);
        const store::block_write_request request{.hash = name,
                                                 .path_text = name.hex(),
                                                 .storage_classes = std::move(o.classes),
                                                 .token = "",
                                                 .until = deadline::in(o.limit)};
        string_source source(std::move(content), o.announce);
        KS_CO_CHECK(co_await store.block_write(request, source));
        co_return success();
    }

    awaitable<result<void>> get_later(std::string content) {
        const auto name = name_of(content);
        const auto block = protocol::locator::parse(name.hex() + "+" + std::to_string(content.size()));
        const store::block_read_request request{.block = *block,
                                                .token = "",
                                                .has_token = false,
                                                .until = deadline::in(std::chrono::seconds(60)),
                                                .head = false,
                                                .range = {}};
        string_sink sink;
        KS_CO_CHECK(co_await store.block_read(request, sink));
        if (sink.text != content) co_return fail(errc::checksum_mismatch, "wrong bytes were sent");
        co_return success();
    }

    [[nodiscard]] bool all_ended() const { return std::ranges::all_of(tasks, &task::ended); }
    [[nodiscard]] std::size_t served() const {
        return static_cast<std::size_t>(std::ranges::count_if(tasks, &task::ok));
    }
    /// Runs the loop until all requests have ended. \returns whether they have, within the limit.
    bool finish(std::chrono::milliseconds limit = std::chrono::seconds(20)) {
        const auto until = std::chrono::steady_clock::now() + limit;
        while (!all_ended() && std::chrono::steady_clock::now() < until) {
            context.restart();
            context.run_for(std::chrono::milliseconds(2));
        }
        return all_ended();
    }
    /// Ends requests that hang, so that the fixture can be destroyed.
    void cancel_all() {
        for (task& t : tasks) {
            if (!t.ended()) asio::post(context, [&t] { t.signal.emit(asio::cancellation_type::total); });
        }
        finish();
    }

    asio::io_context& context = new_context();
    pool::buffer_pool pool;
    digest::engine engine{2};
    std::vector<std::shared_ptr<queued_volume>> volumes;
    store::block_store store;
    std::deque<task> tasks;
};

}  // namespace keepstore::test
