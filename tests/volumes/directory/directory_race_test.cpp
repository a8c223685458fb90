// PUT, TOUCH, TRASH and UNTRASH of few blocks by many threads, through two daemons' worth of volumes on one directory.
#include "digest/md5.hpp"
#include "tests/volumes/directory/directory_fixture.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <mutex>
#include <thread>

namespace keepstore::test {
namespace {

// Guards one promise: after PUT, TOUCH or UNTRASH was acknowledged at time T, the block is readable until T +
// protect_for, whatever else runs.
constexpr std::chrono::milliseconds protect_for{60};
// Two phases alternate: all calls; then only trash, untrash and get, so that blocks grow old.
constexpr std::chrono::milliseconds phase_length{100};
constexpr int threads = 6;
constexpr int blocks = 3;
constexpr auto duration = std::chrono::seconds(4);

struct history {
    std::mutex mutex;
    std::chrono::steady_clock::time_point acknowledged{};  // Start of the latest acknowledged renewal.

    void renewed(std::chrono::steady_clock::time_point began) {
        const std::lock_guard lock(mutex);
        acknowledged = std::max(acknowledged, began);
    }
    std::chrono::steady_clock::time_point latest() {
        const std::lock_guard lock(mutex);
        return acknowledged;
    }
};

}  // namespace

TEST_CASE("an acknowledged block stays readable for its protection period under any race", "[volumes][race]") {
    const auto parent = GENERATE(as<std::filesystem::path>(), on_disk(), in_memory());
    directory_fixture one({.sync = false, .free_bytes_min = 0}, parent);
    auto second = volumes::open_directory_volume(one.options);
    REQUIRE(second.has_value());
    std::array<volumes::volume*, 2> daemons{one.volume.get(), second->get()};
    std::vector<md5_digest> names;
    std::vector<bytes> contents;
    for (int i = 0; i < blocks; ++i) {
        contents.push_back(random_bytes(i == 0 ? 100'000 : 500));
        names.push_back(digest::md5_of(contents.back()));  // An untrash hashes what is there.
    }
    std::array<history, blocks> histories;
    std::atomic<int> lost = 0;
    std::atomic<int> wrong = 0;
    std::atomic<int> failed = 0;
    std::array<std::atomic<int>, 5> done{};
    const auto end = std::chrono::steady_clock::now() + duration;
    std::vector<std::thread> workers;
    for (int t = 0; t < threads; ++t) {
        const auto seed = test_random()();
        workers.emplace_back([&, seed] {
            std::mt19937_64 random(seed);
            asio::io_context& context = new_context();
            while (std::chrono::steady_clock::now() < end) {
                auto& v = *daemons[random() % daemons.size()];
                const auto i = random() % blocks;
                const auto began = std::chrono::steady_clock::now();
                const bool renewing = began.time_since_epoch() / phase_length % 2 == 0;
                // 0 put, 1 touch, 2 untrash (now and then), 3 trash, 4 get.
                auto kind = renewing ? random() % 5 : 3 + random() % 2;
                if (!renewing && random() % 64 == 0) kind = 2;
                const auto bad = [&](const error& e) { return e != errc::not_found; };
                if (kind == 0) {
                    const auto r =
                        run_on(context, write_block(v, names[i], contents[i], contents[i].size(), 256 * KiB));
                    if (r) histories[i].renewed(began);
                    failed += r ? 0 : 1;
                    done[kind] += r ? 1 : 0;
                } else if (kind == 1) {
                    const auto r = run_on(context, v.touch(names[i], soon()));
                    if (r) histories[i].renewed(began);
                    if (!r) failed += bad(r.error()) ? 1 : 0;
                    done[kind] += r ? 1 : 0;
                } else if (kind == 2) {
                    const auto r = run_on(context, v.untrash(names[i], soon()));
                    if (r) histories[i].renewed(began);
                    if (!r) failed += bad(r.error()) ? 1 : 0;
                    done[kind] += r ? 1 : 0;
                } else if (kind == 3) {
                    const volumes::trash_options o{
                        .protect_for = protect_for,
                        .lifetime = random() % 4 == 0 ? std::chrono::hours(0) : std::chrono::hours(1)};
                    const auto r = run_on(context, v.trash(names[i], o, soon()));
                    if (!r) failed += bad(r.error()) ? 1 : 0;
                    done[kind] += r && *r == volumes::trash_outcome::trashed ? 1 : 0;
                } else {
                    const auto renewed = histories[i].latest();
                    const auto r = run_on(context, read_block(v, names[i]));
                    const bool protected_still = std::chrono::steady_clock::now() < renewed + protect_for;
                    if (r) wrong += *r == contents[i] ? 0 : 1;
                    if (!r && protected_still) ++lost;
                    if (!r) failed += bad(r.error()) ? 1 : 0;
                    done[kind] += r ? 1 : 0;
                }
            }
        });
    }
    for (auto& w : workers) w.join();
    INFO("put " << done[0] << " touch " << done[1] << " untrash " << done[2] << " trash " << done[3] << " get "
                << done[4]);
    CHECK(lost == 0);
    CHECK(wrong == 0);
    CHECK(failed == 0);
    for (const auto& n : done) CHECK(n > 0);  // Every kind of call succeeded at times.
    CHECK(eventually([&] { return one.count_files("tmp") == 0; }));
}

}  // namespace keepstore::test
