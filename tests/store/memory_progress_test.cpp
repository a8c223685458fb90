// The rule of progress (docs/memory.md), as a property: whatever volumes do, how small the pools are and who leaves
// when, no request waits for ever. Each schedule is drawn from a seed, which is printed when it fails:
// KEEPSTORE_TEST_SEED repeats it alone. KEEPSTORE_TEST_SCHEDULES is their number (thousands for a long run).
//
// Some schedules scrub and pull meanwhile, with pools of their own.
//
// Volumes fail, slow down, hang for a while and fill up; hung calls are over after some ten milliseconds, and the
// deadlines of requests are a thousand times as long. So a request that is still there after seconds waits for memory
// that does not come back.
#include "digest/waypoints.hpp"
#include "store/limits.hpp"
#include "store/lists/pull_worker.hpp"
#include "store/verify/verify_copy.hpp"
#include "tests/store/memory_fixture.hpp"
#include "tests/store/remote/fetch_fixture.hpp"
#include "tests/store/scrub/scrub_fixture.hpp"

#include <boost/asio/this_coro.hpp>
#include <catch2/catch.hpp>

#include <cstdlib>
#include <random>

using namespace keepstore;
using namespace keepstore::test;
using namespace std::chrono_literals;

namespace {

using volume_call = queued_volume::call;
using fate = queued_volume::fate;

class dice {
  public:
    explicit dice(std::uint64_t seed) : engine_(seed) {}
    [[nodiscard]] std::uint64_t upto(std::uint64_t most) {
        return std::uniform_int_distribution<std::uint64_t>(0, most)(engine_);
    }
    [[nodiscard]] bool chance(unsigned percent) { return upto(99) < percent; }
    template <class T>
    [[nodiscard]] T one_of(std::initializer_list<T> values) {
        return *(values.begin() + static_cast<std::ptrdiff_t>(upto(values.size() - 1)));
    }

  private:
    std::mt19937_64 engine_;
};

// How one volume behaves in one schedule, in percent of calls.
struct temper {
    unsigned fails_write;
    unsigned fails_read;
    unsigned slow;
    unsigned hangs;
    std::uint64_t full_after;  // Bytes of a block that it takes.
};

temper draw_temper(dice& d) {
    return {.fails_write = d.one_of({0U, 0U, 3U, 20U, 100U}),
            .fails_read = d.one_of({0U, 0U, 5U, 50U}),
            .slow = d.one_of({0U, 20U, 80U}),
            .hangs = d.one_of({0U, 0U, 4U}),
            .full_after = d.chance(20) ? d.upto(6 * chunk) : ~std::uint64_t{0}};
}

fate draw_fate(dice& d, const temper& t, volume_call what, std::uint64_t bytes) {
    fate out;
    if (d.chance(t.hangs)) {
        out.takes = std::chrono::milliseconds(10 + d.upto(20));
    } else if (d.chance(t.slow)) {
        out.takes = std::chrono::microseconds(d.upto(1500));
    }
    const bool writes = what != volume_call::read;
    if (what == volume_call::write && bytes >= t.full_after) out.fails = error(errc::no_space);
    if (d.chance(writes ? t.fails_write : t.fails_read)) out.fails = error(errc::io_error, "injected fault");
    return out;
}

// make_content() costs more than the requests.
std::string fast_content(dice& d, std::size_t size) {
    std::string out(size, static_cast<char>(d.upto(255)));
    for (std::size_t at = 0; at < size; at += 4096) out[at] = static_cast<char>(d.upto(255));
    return out;
}

std::size_t draw_size(dice& d) {
    switch (d.upto(3)) {
        case 0:
            return 1 + d.upto(chunk - 1);
        case 1:
            return chunk * d.upto(6);
        default:
            return 1 + d.upto(7 * chunk);
    }
}

awaitable<result<void>> head_later(memory_fixture& f, std::string content) {
    const auto name = name_of(content);
    const auto block = protocol::locator::parse(name.hex() + "+" + std::to_string(content.size()));
    const store::block_read_request request{
        .block = *block, .token = "", .has_token = false, .until = deadline::in(60s), .head = true, .range = {}};
    string_sink sink;
    KS_CO_CHECK(co_await f.store.block_read(request, sink));
    co_return success();
}

awaitable<result<void>> after(std::chrono::microseconds pause, awaitable<result<void>> work) {
    asio::steady_timer timer(co_await asio::this_coro::executor, pause);
    co_await timer.async_wait(use_tuple);
    co_return co_await std::move(work);
}

// Blocks that are there before: with or without waypoints, right, rotten or cut off.
void plant_some(dice& d, memory_fixture& f, int count, std::vector<std::string>& blocks) {
    for (int i = 0; i < count; ++i) {
        const auto content = fast_content(d, draw_size(d));
        const auto name = name_of(content);
        blocks.push_back(content);
        for (const auto& v : f.volumes) {
            if (d.chance(40)) continue;
            auto stored = content;
            if (d.chance(40) && !stored.empty()) stored = flipped(stored, d.upto(stored.size() - 1));
            if (d.chance(10)) stored.resize(stored.size() / 2);
            v->inner.plant(name, stored);
            if (!store::has_waypoints(content.size()) || d.chance(30)) continue;
            std::vector<digest::md5_state> states;
            const std::size_t stride = digest::waypoints::stride_for(content.size());
            const auto bytes = std::as_bytes(std::span(content));
            for (std::size_t at = stride; at < content.size(); at += stride) {
                digest::md5_state state = states.empty() ? digest::md5_state{} : states.back();
                digest::md5_compress(state, bytes.subspan(at - stride, stride));
                states.push_back(state);
            }
            const auto points = digest::waypoints::make(content.size(), stride, states);
            if (points) v->inner.set_attribute(name, "keepstore.waypoints", points->encode(name));
        }
    }
}

// Runs the scrub's task until its pass has ended.
awaitable<result<void>> scrub_once(store::scrubber& scrub, std::size_t task) {
    const auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer(executor);
    asio::cancellation_signal stop;
    bool ended = false;
    spawn(executor, run_cancellable(scrub.run(task)), stop.slot(), [&](std::exception_ptr) { ended = true; });
    const auto passed = [&] {
        const auto now = scrub.status().value().at(task);
        return now.ended && now.state != store::scrub_state::running;
    };
    bool cancelled = false;
    while (!passed() && !cancelled) {
        timer.expires_after(1ms);
        const auto [stopped] = co_await timer.async_wait(use_tuple);
        cancelled = static_cast<bool>(stopped);
    }
    while (!ended) {
        stop.emit(asio::cancellation_type::total);
        timer.expires_after(1ms);
        co_await timer.async_wait(use_tuple);
    }
    co_return success();
}

awaitable<result<void>> pull_once(store::pull_worker& pulls, protocol::pull_item item) {
    co_await pulls.execute(std::move(item));
    co_return success();
}

// A scrub of all volumes, and two pulls of one block.
class background_work {
  public:
    background_work(dice& d, memory_fixture& f)
        : content_(fast_content(d, draw_size(d))),
          pulls_(f.store.context(), client_, {.workers = 2}),
          scrub_(f.store, {.interval = 0ns, .rate = 0}, clock_) {
        static_cast<void>(scrub_.start({}));
        for (std::size_t i = 0; i < scrub_.task_count(); ++i) f.spawn(scrub_once(scrub_, i));
        for (int i = 0; i < 2; ++i) {
            const auto& mounts = f.store.mounts().all();
            f.spawn(pull_once(pulls_, {.locator = name_of(content_).hex() + "+" + std::to_string(content_.size()),
                                       .servers = {service_.url()},
                                       .mount_uuid = mounts[d.upto(mounts.size() - 1)].uuid}));
        }
    }
    [[nodiscard]] std::size_t in_use() const { return pulls_.memory().in_use_bytes + scrub_.memory().in_use_bytes(); }

  private:
    const std::string content_;
    keep_service service_{{.body = content_}};
    net::client client_ = make_client({});
    scrubbing::fake_clock clock_;
    store::pull_worker pulls_;
    store::scrubber scrub_;
};

// \returns what went wrong; empty if nothing.
std::string run_schedule(std::uint64_t seed) {
    dice d(seed);
    const std::size_t volumes = 1 + d.upto(3);
    memory_fixture f(volumes, {.request_chunks = 1 + d.upto(d.one_of({0U, 3U, 12U})),
                               .copy_chunks = limits::copy_lease_chunks + d.upto(4),
                               .scratch_chunks = limits::verify_lease_chunks + d.upto(4)});
    std::vector<temper> tempers;
    for (std::size_t v = 0; v < volumes; ++v) {
        tempers.push_back(draw_temper(d));
        f.volumes[v]->plan = [&d, t = tempers.back()](volume_call what, std::uint64_t bytes) {
            return draw_fate(d, t, what, bytes);
        };
    }
    std::vector<std::string> blocks;
    // A scrub checks up to eight at a time.
    const bool scrubbed = d.chance(15);
    plant_some(d, f, scrubbed ? 12 : 6, blocks);
    const std::size_t requests = 4 + d.upto(28);
    const bool some_leave = d.chance(50);
    for (std::size_t i = 0; i < requests; ++i) {
        const auto pause = std::chrono::microseconds(d.upto(4000));
        const auto& known = blocks[d.upto(blocks.size() - 1)];
        memory_fixture::task* task = nullptr;
        if (d.chance(55)) {
            const auto content = d.chance(30) ? known : fast_content(d, draw_size(d));
            memory_fixture::put_options o{.announce = d.chance(60)};
            if (d.chance(30)) o.classes = {"class0", "class" + std::to_string(volumes - 1)};
            task = &f.spawn(after(pause, f.put_later(content, std::move(o))));
        } else {
            task = &f.spawn(after(pause, d.chance(80) ? f.get_later(known) : head_later(f, known)));
        }
        if (some_leave && d.chance(30)) {
            test::start_work(f.context,
                             after(std::chrono::microseconds(d.upto(15'000)),
                                   [](memory_fixture::task& t) -> awaitable<result<void>> {
                                       t.signal.emit(asio::cancellation_type::total);
                                       co_return success();
                                   }(*task)),
                             [](const result<void>&) {});
        }
    }
    std::optional<background_work> others;
    if (scrubbed) others.emplace(d, f);
    std::string problem;
    if (!f.finish(10s)) {
        problem = "requests that wait for ever: " +
                  std::to_string(std::ranges::count_if(f.tasks, [](const auto& t) { return !t.ended(); }));
        f.cancel_all();
    }
    for (const auto& t : f.tasks) {
        if (t.ended() && !t.ok() && t.outcome->error() == errc::timeout) problem += " a deadline ended a wait";
        if (t.ended() && !t.ok() && t.outcome->error().text == "wrong bytes were sent") problem += " wrong bytes";
    }
    const auto all_in_use = [&] { return f.in_use() + (others ? others->in_use() : 0); };
    if (!turn_until(f.context, [&] { return all_in_use() == 0; })) problem += " chunks are lost";
    return problem;
}

std::uint64_t number_of(const char* variable, std::uint64_t otherwise) {
    const char* const text = std::getenv(variable);
    return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

}  // namespace

TEST_CASE("no schedule of failing volumes, small pools and leaving clients makes requests wait for ever",
          "[store][memory][property]") {
    const std::uint64_t only = number_of("KEEPSTORE_TEST_SEED", 0);
    const std::uint64_t count = only ? 1 : number_of("KEEPSTORE_TEST_SCHEDULES", 150);
    const std::uint64_t first = only ? only : std::random_device{}();
    // The short run has a limit, for slow machines; it says how far it came.
    const auto until = std::chrono::steady_clock::now() + (count > 1000 ? 24h : 15s);
    std::uint64_t done = 0;
    for (; done < count && std::chrono::steady_clock::now() < until; ++done) {
        const std::uint64_t seed = first + done;
        const std::string problem = run_schedule(seed);
        INFO("KEEPSTORE_TEST_SEED=" << seed << ": " << problem);
        REQUIRE(problem.empty());
    }
    WARN("schedules: " << done << " from seed " << first);
}
