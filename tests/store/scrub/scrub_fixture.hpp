/// A scrubber over volumes in memory, with a clock of its own. Use from one loop.
#pragma once

#include "digest/md5.hpp"
#include "store/scrub/scrub.hpp"
#include "store/verify/verify_copy.hpp"
#include "tests/support/run.hpp"
#include "tests/support/scrub_volume.hpp"

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>
#include <catch2/catch.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

// Names of its own: other tests of this program have fixtures and contents, too.
namespace keepstore::test::scrubbing {

using namespace keepstore::store;
using namespace std::chrono_literals;

// Sleeping costs nothing and moves the time.
class fake_clock final : public scrub_clock {
  public:
    std::chrono::steady_clock::duration slept{};
    std::chrono::system_clock::duration ahead{};  // Of the wall clock; may change at any time.

    std::chrono::steady_clock::time_point now() const override {
        return std::chrono::steady_clock::time_point(1h) + slept;
    }
    // Never the same twice, so that the ends of two passes differ.
    std::chrono::system_clock::time_point wall() const override {
        return std::chrono::system_clock::time_point(std::chrono::sys_days(std::chrono::year(2030) / 1 / 1)) +
               std::chrono::duration_cast<std::chrono::system_clock::duration>(slept) + ahead +
               std::chrono::nanoseconds(++calls_);
    }
    awaitable<bool> sleep(std::chrono::steady_clock::duration time) override {
        slept += time;
        co_return co_await scrub_clock::sleep(0ns);
    }

  private:
    mutable std::int64_t calls_ = 0;
};

inline std::string make_content(std::size_t size, unsigned seed = 1) {
    std::string out(size, '\0');
    std::uint64_t x = seed * 0x9e3779b97f4a7c15ull + size + 1;
    for (char& c : out) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        c = static_cast<char>(x);
    }
    return out;
}

inline md5_digest name_of(const std::string& content) {
    return digest::md5_of(std::as_bytes(std::span(content)));
}

// The attribute of `content`, or one that says that it is `name`'s.
inline std::vector<std::byte> waypoints_of(const std::string& content, std::size_t length,
                                           std::optional<md5_digest> name = std::nullopt) {
    std::vector<digest::md5_state> states;
    digest::md5_state state;
    const std::size_t step = digest::waypoints::stride_bytes_min;
    std::string padded = content;
    padded.resize(std::max(padded.size(), length));
    for (std::size_t at = 0; at + step <= length; at += step) {
        digest::md5_compress(state, std::as_bytes(std::span(padded).subspan(at, step)));
        states.push_back(state);
    }
    return digest::waypoints::from_capture(length, step, states)->encode(name.value_or(name_of(content)));
}

struct damage {
    const char* what;
    std::string bytes;
};

inline std::vector<damage> damaged(const std::string& good) {
    const auto flipped = [&](std::size_t at) {
        std::string out = good;
        out[at] = static_cast<char>(out[at] ^ 0x10);
        return out;
    };
    return {{"first byte", flipped(0)},
            {"middle", flipped(good.size() / 2)},
            {"last byte", flipped(good.size() - 1)},
            {"truncated", good.substr(0, good.size() - 1)},
            {"half", good.substr(0, good.size() / 2)},
            {"empty", ""},
            {"extended", good + "x"},
            {"zeroed", std::string(good.size(), '\0')}};
}

struct mount_plan {
    bool writable = true;
    int device = -1;  // Its own.
};

struct scrub_fixture {
    explicit scrub_fixture(std::vector<mount_plan> plans = {{}, {}})
        : store(store_options(), mount_table(mounts(plans)), pool, engine) {}
    ~scrub_fixture() {
        scrub.reset();
        CHECK(pool.snapshot().in_use_bytes == 0);
    }

    static block_store::options store_options() {
        block_store::options o;
        o.blob_signing = false;
        o.protect_for = 1h;
        return o;
    }

    std::vector<mount> mounts(const std::vector<mount_plan>& plans) {
        std::vector<mount> out;
        for (std::size_t i = 0; i < plans.size(); ++i) {
            const auto device = plans[i].device < 0 ? i : static_cast<std::size_t>(plans[i].device);
            while (volumes.size() <= device) {
                volumes.push_back(std::make_shared<scrub_volume>("device" + std::to_string(volumes.size())));
            }
            mount m;
            m.uuid = "zzzzz-nyw5e-00000000000000" + std::to_string(i);
            m.volume = volumes[device];
            m.allow_write = m.allow_trash = plans[i].writable;
            m.storage_classes = {{"default", true}};
            out.push_back(std::move(m));
        }
        return out;
    }

    // As after a restart of the process.
    scrubber& make(scrubber::options o = {.interval = 0ns, .rate = 0}) {
        scrub = std::make_unique<scrubber>(store, o, clock);
        return *scrub;
    }

    awaitable<scrub_status> drive(std::size_t task, bool ask, scrubber::start_request request) {
        const auto executor = co_await asio::this_coro::executor;
        asio::steady_timer timer(executor);
        asio::cancellation_signal signal;
        bool ended = false;
        const auto before = scrub->status().value().at(task).ended;
        if (ask) static_cast<void>(scrub->start(request));
        spawn(executor, run_cancellable(scrub->run(task)), signal.slot(), [&](std::exception_ptr) { ended = true; });
        scrub_status now;
        while (true) {
            now = scrub->status().value().at(task);
            const bool over = now.state != scrub_state::running && now.ended && now.ended != before;
            if (over && (!restored_ || now.ended != restored_)) break;
            if (kill_now) break;
            timer.expires_after(1ms);
            co_await timer.async_wait(use_tuple);
        }
        while (!ended) {
            signal.emit(asio::cancellation_type::total);
            timer.expires_after(1ms);
            co_await timer.async_wait(use_tuple);
        }
        now = scrub->status().value().at(task);
        // What is being hashed when a pass is cut short comes back a moment later.
        while (scrub->memory().in_use_bytes() != 0) {
            timer.expires_after(1ms);
            co_await timer.async_wait(use_tuple);
        }
        co_return now;
    }
    /// Asks for a pass and lets it end.
    scrub_status pass(std::size_t task = 0, scrubber::start_request request = {}) {
        if (!scrub) make();
        restored_ = std::nullopt;
        if (const auto note = volumes[task]->notes.find("keepstore.scrub"); note != volumes[task]->notes.end()) {
            restored_ = scrub_checkpoint::decode(note->second)->last_complete;
        }
        return run(drive(task, true, std::move(request)), 60s);
    }

    std::optional<scrub_time> restored_;
    bool kill_now = false;
    std::vector<std::shared_ptr<scrub_volume>> volumes;
    pool::buffer_pool pool{16 * MiB};
    digest::engine engine{1};
    block_store store;
    fake_clock clock;
    std::unique_ptr<scrubber> scrub;
};

inline const std::vector<std::size_t> sizes{1000, 65'536, 300'000, 3 * MiB + 17};

}  // namespace keepstore::test::scrubbing
