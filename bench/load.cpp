/// keepstore_load: puts load on a block store over HTTP and reports throughput, latency, failures
/// and the server's cost. See bench/README.md.
#include "bench/content.hpp"
#include "bench/load_options.hpp"
#include "bench/load_run.hpp"
#include "bench/report.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

#include <charconv>
#include <cstdio>
#include <exception>
#include <fstream>
#include <stdexcept>

namespace keepstore::bench {

namespace {

// The operations before the measured ones go over few connections: they are there to fill disks and
// caches.
constexpr unsigned preparation_connections = 4;

void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

std::vector<stored_block> read_locators(const std::string& path) {
    std::ifstream file(path);
    if (!file) throw std::invalid_argument("cannot read " + path);
    std::vector<stored_block> blocks;
    for (std::string line; std::getline(file, line);) {
        if (line.empty()) continue;
        const auto plus = line.find('+');
        stored_block stored{.locator = line};
        if (plus == std::string::npos ||
            std::from_chars(line.data() + plus + 1, line.data() + line.size(), stored.size).ec != std::errc{}) {
            throw std::invalid_argument("a locator needs a size: " + line);
        }
        blocks.push_back(std::move(stored));
    }
    if (blocks.empty()) throw std::invalid_argument("no locators in " + path);
    return blocks;
}

void write_locators(const std::string& path, const std::vector<stored_block>& blocks) {
    std::ofstream file(path);
    for (const auto& stored : blocks) file << stored.locator << '\n';
    if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

/// Options common to the preparing runs: no limits, no measurement, no other connections.
load_options preparation(const load_options& options, load_mode mode, std::uint64_t count) {
    auto quiet = options;
    quiet.mode = mode;
    quiet.count = count;
    quiet.connections = preparation_connections;
    quiet.threads = 1;
    quiet.rate = 0;
    quiet.range_bytes = 0;
    quiet.slow_readers = quiet.slow_writers = quiet.slow_headers = quiet.idle = 0;
    quiet.compare_alone = false;
    quiet.hold_seconds = quiet.ramp_seconds = 0;
    quiet.server_pids.clear();
    return quiet;
}

void require_success(const load_result& result, std::uint64_t wanted, const char* what) {
    const auto& stats = result.windows.front().stats;
    const auto& group = stats.of(role::writer).good > 0 ? stats.of(role::writer) : stats.of(role::reader);
    if (group.good >= wanted) return;
    std::string why;
    for (const auto& part : stats.groups) {
        for (const auto& [cause, times] : part.failures)
            why += fmt::format(" {} x {} {}", times, cause, part.failure_example);
    }
    throw std::runtime_error(fmt::format("{}: {} of {} succeeded;{}", what, group.good, wanted, why));
}

int run(const load_options& options) {
    auto sizes = options.sizes.sizes();
    if (options.slow_writers > 0) sizes.push_back(options.slow_size);
    std::ranges::sort(sizes);
    const content_source content(options.seed, sizes);
    std::atomic<std::uint64_t> next_number{0};

    auto catalog = options.locators_file.empty() ? std::vector<stored_block>{} : read_locators(options.locators_file);
    if (options.preload > 0) {
        const auto quiet = preparation(options, load_mode::put, options.preload);
        const auto nothing = std::vector<stored_block>{};
        load_control control(quiet, content, nothing, next_number);
        control.collect = true;
        require_success(run_load(control), options.preload, "preload");
        catalog.insert(catalog.end(), control.collected.begin(), control.collected.end());
    }
    if (options.warm_reads && !catalog.empty()) {
        const auto quiet = preparation(options, load_mode::get, catalog.size());
        load_control control(quiet, content, catalog, next_number);
        require_success(run_load(control), catalog.size(), "warm reads");
    }

    load_control control(options, content, catalog, next_number);
    control.collect = !options.save_locators_file.empty();
    const auto result = run_load(control);
    if (control.collect) {
        catalog.insert(catalog.end(), control.collected.begin(), control.collected.end());
        write_locators(options.save_locators_file, catalog);
    }
    const auto text = options.json ? report_json(options, result) + "\n" : report_text(options, result);
    std::fwrite(text.data(), 1, text.size(), stdout);
    for (const auto& window : result.windows) {
        if (window.stats.of(role::reader).failed() + window.stats.of(role::writer).failed() > 0) return 1;
    }
    return 0;
}

}  // namespace

}  // namespace keepstore::bench

int main(int argc, char** argv) {
    using namespace keepstore::bench;
    try {
        if (argc < 2 || std::string_view(argv[1]) == "--help") {
            std::fputs(load_help().c_str(), stdout);
            return argc < 2 ? 2 : 0;
        }
        raise_descriptor_limit();
        return run(parse_load_options(argc, argv));
    } catch (const std::invalid_argument& e) {
        std::fprintf(stderr, "keepstore_load: %s\n", e.what());
        return 2;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "keepstore_load: %s\n", e.what());
        return 3;
    }
}
