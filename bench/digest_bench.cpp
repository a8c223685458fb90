// GB/s of MD5 on one core, by number of streams and by instruction set, and of OpenSSL's single
// stream in the same run. Usage: keepstore_digest_bench [--json] [seconds per figure, default 0.4]
//
// First the kernels alone (64 KiB passes over 1 MiB buffers that start in different cache sets),
// then the engine with one and two workers, where CPU-seconds per GiB count the workers and the
// submitting thread.

#include "base/units.hpp"
#include "digest/engine.hpp"
#include "digest/md5.hpp"
#include "digest/md5_lanes.hpp"

#include <fmt/format.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <string_view>
#include <vector>

namespace keepstore {
namespace {

using steady = std::chrono::steady_clock;

constexpr std::size_t buffer_bytes = MiB;
constexpr std::size_t pass_bytes = 64 * KiB;
constexpr int rounds = 3;

double cpu_seconds(clockid_t clock) {
    timespec t{};
    clock_gettime(clock, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

// Sixteen streams at one offset modulo 4096 would fight for the 12 ways of one L1 set.
std::vector<const_slice> make_buffers(std::size_t count) {
    std::vector<const_slice> buffers;
    for (std::size_t i = 0; i < count; ++i) {
        const auto slice = make_heap_slice(buffer_bytes + 4096 + i * 1600);
        for (std::size_t at = 0; at < slice.size(); ++at) {
            slice.bytes[at] = static_cast<std::byte>((at * 2654435761U + i) >> 7);
        }
        buffers.push_back(slice.freeze(slice.size()).subslice(i * 1600, buffer_bytes));
    }
    return buffers;
}

// Bytes per CPU-second of this thread, the best of a few rounds: other programs' noise only ever
// slows down.
template <class Step>
double best_rate(double seconds, Step step) {
    double best = 0;
    for (int round = 0; round < rounds; ++round) {
        const double begin = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
        double bytes = 0;
        double used = 0;
        do {
            bytes += static_cast<double>(step());
            used = cpu_seconds(CLOCK_THREAD_CPUTIME_ID) - begin;
        } while (used < seconds / rounds);
        best = std::max(best, bytes / used);
    }
    return best;
}

double kernel_rate(const digest::md5_kernel& kernel, const std::vector<const_slice>& buffers, std::size_t streams,
                   double seconds) {
    std::vector<digest::md5_state> states(streams);
    std::vector<digest::md5_lane> lanes(streams);
    return best_rate(seconds, [&] {
        for (std::size_t at = 0; at < buffer_bytes; at += pass_bytes) {
            for (std::size_t first = 0; first < streams; first += kernel.lanes) {
                const std::size_t count = std::min(kernel.lanes, streams - first);
                for (std::size_t i = 0; i < count; ++i) {
                    lanes[i] = {&states[first + i], buffers[first + i].bytes.data() + at};
                }
                kernel.compress(std::span(lanes).first(count), pass_bytes / digest::md5_block_bytes);
            }
        }
        return buffer_bytes * streams;
    });
}

double openssl_rate(const const_slice& buffer, double seconds) {
    digest::md5_state state;
    return best_rate(seconds, [&] {
        digest::md5_compress(state, buffer.bytes);
        return buffer.size();
    });
}

awaitable<void> feed(digest::engine& engine, const_slice buffer, steady::time_point until, std::uint64_t& bytes) {
    digest::md5_stream stream(engine, {});
    while (steady::now() < until) {
        for (std::size_t at = 0; at < buffer.size(); at += 256 * KiB) {
            const auto updated = co_await stream.update(buffer.subslice(at, 256 * KiB));
            if (!updated) co_return;
        }
    }
    const auto drained = co_await stream.drain();
    if (drained) bytes += stream.length();
}

struct engine_figures {
    double bytes_per_second = 0;
    double cpu_seconds_per_gib = 0;
    double lanes_per_pass = 1;  // 1: everything was hashed as a lone stream.
    std::uint64_t wakeups = 0;
};

engine_figures engine_run(unsigned threads, const std::vector<const_slice>& buffers, std::size_t streams,
                          double seconds) {
    asio::io_context context(1);  // Before the engine, whose workers post to it.
    digest::engine engine(threads);
    std::uint64_t bytes = 0;
    const auto begin = steady::now();
    const double cpu_begin = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
    const auto until = begin + std::chrono::duration_cast<steady::duration>(std::chrono::duration<double>(seconds));
    for (std::size_t i = 0; i < streams; ++i) {
        asio::co_spawn(context, feed(engine, buffers[i], until, bytes), asio::detached);
    }
    context.run();
    const double wall = std::chrono::duration<double>(steady::now() - begin).count();
    const double cpu = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_begin;
    const auto stats = engine.snapshot();
    const auto hashed = static_cast<double>(bytes);
    return {.bytes_per_second = hashed / wall,
            .cpu_seconds_per_gib = cpu / (hashed / static_cast<double>(GiB)),
            .lanes_per_pass = stats.passes_total ? static_cast<double>(stats.lanes_used_total) /
                                                       static_cast<double>(stats.passes_total)
                                                 : 1.0,
            .wakeups = stats.wakeups_total};
}

// The text comes row by row, the JSON at the end.
int run(double seconds, bool as_json) {
    const std::vector<std::size_t> counts = {1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 32};
    const auto buffers = make_buffers(counts.back());
    nlohmann::ordered_json out = {{"engine_target", digest::default_md5_kernel().name}};

    if (!as_json) {
        fmt::print(
            "Kernels on one core: GB/s (times OpenSSL's single stream, measured before each row)\n"
            "  streams  openssl");
        for (const auto& kernel : digest::md5_kernels()) fmt::print("  {:>14}", kernel.name);
        fmt::print("\n");
    }
    for (const std::size_t streams : counts) {
        const double single = openssl_rate(buffers[0], seconds);
        nlohmann::ordered_json row = {{"streams", streams}, {"openssl_gb_per_s", single * 1e-9}};
        if (!as_json) fmt::print("  {:>7}  {:>7.3f}", streams, single * 1e-9);
        for (const auto& kernel : digest::md5_kernels()) {
            const double rate = kernel_rate(kernel, buffers, streams, seconds);
            row["gb_per_s"][std::string(kernel.name)] = rate * 1e-9;
            if (!as_json) fmt::print("  {:>5.2f} ({:>5.1f}x)", rate * 1e-9, rate / single);
        }
        if (!as_json) fmt::print("\n");
        out["kernels"].push_back(std::move(row));
    }

    if (!as_json) {
        fmt::print(
            "\nEngine ({}), pieces of 256 KiB\n  workers  streams    GB/s  CPU-s/GiB  lanes/pass   "
            "wakeups\n",
            digest::default_md5_kernel().name);
    }
    for (const unsigned threads : {1U, 2U}) {
        for (const std::size_t streams : counts) {
            const auto f = engine_run(threads, buffers, streams, seconds);
            out["engine"].push_back({{"workers", threads},
                                     {"streams", streams},
                                     {"gb_per_s", f.bytes_per_second * 1e-9},
                                     {"cpu_s_per_gib", f.cpu_seconds_per_gib},
                                     {"lanes_per_pass", f.lanes_per_pass}});
            if (as_json) continue;
            fmt::print("  {:>7}  {:>7}  {:>6.2f}  {:>9.3f}  {:>9.1f}  {:>8}\n", threads, streams,
                       f.bytes_per_second * 1e-9, f.cpu_seconds_per_gib, f.lanes_per_pass, f.wakeups);
        }
    }
    if (as_json) fmt::print("{}\n", out.dump());
    return 0;
}

}  // namespace
}  // namespace keepstore

int main(int argc, char** argv) {
    const bool as_json = argc > 1 && std::string_view(argv[1]) == "--json";
    const int position = as_json ? 2 : 1;
    const double seconds = argc > position ? std::strtod(argv[position], nullptr) : 0.4;
    if (seconds <= 0 || argc > position + 1) {
        fmt::print(stderr, "usage: keepstore_digest_bench [--json] [seconds per figure]\n");
        return 2;
    }
    return keepstore::run(seconds, as_json);
}
