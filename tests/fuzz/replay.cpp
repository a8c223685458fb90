/// Runs a fuzz target without libFuzzer: all files of the given folders, then random mutations of them for a fixed
/// number of rounds or seconds. Finds less than coverage-guided fuzzing, and runs with every compiler and preset. The
/// seed is printed, and KEEPSTORE_TEST_SEED repeats it; the failing input is left in a file in the working directory.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size);

namespace {

constexpr int rounds_max = 500'000;
constexpr std::chrono::seconds time_max{2};
constexpr std::size_t input_bytes_max = 64 * 1024;

using generator = std::mt19937_64;

std::string current;  // Read by the handlers of the signals that a failure raises.

void keep_current(int number) {
    if (std::FILE* const file = std::fopen("fuzz-failure", "w")) {
        std::fwrite(current.data(), 1, current.size(), file);
        std::fclose(file);
    }
    constexpr std::string_view text = "failed; the input is in ./fuzz-failure\n";
    [[maybe_unused]] const auto written = write(STDERR_FILENO, text.data(), text.size());
    std::signal(number, SIG_DFL);
    std::raise(number);
}

void run(std::string input) {
    current = std::move(input);
    LLVMFuzzerTestOneInput(reinterpret_cast<const unsigned char*>(current.data()), current.size());
}

std::size_t below(generator& random, std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random);
}

// Makes one small change, of the kinds that parsers tend to get wrong.
void mutate(std::string& text, const std::vector<std::string>& seeds, generator& random) {
    static constexpr std::array<std::string_view, 16> pieces{
        "+", "\r\n", "\n", "0",  "-1", "99999999999999999999", "\xff", std::string_view("\0", 1), ":",
        " ", "[",    "{",  "\"", "@",  "\xf0\x9f\x98\x80",     "\t"};
    const std::size_t at = below(random, text.size() + 1);
    const std::size_t length = text.empty() ? 0 : below(random, std::min<std::size_t>(text.size(), 64)) + 1;
    switch (below(random, 6)) {
        case 0:
            if (at < text.size()) text[at] = static_cast<char>(below(random, 256));
            break;
        case 1:
            if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << below(random, 8)));
            break;
        case 2:
            text.insert(at, pieces[below(random, pieces.size())]);
            break;
        case 3:
            text.erase(at, length);
            break;
        case 4:
            text.insert(at, std::string(text.substr(at, length)));
            break;
        default: {
            const std::string& other = seeds[below(random, seeds.size())];
            const std::size_t from = below(random, other.size() + 1);
            text.replace(at, length, other.substr(from, below(random, 256)));
            break;
        }
    }
    if (text.size() > input_bytes_max) text.resize(input_bytes_max);
}

}  // namespace

int main(int count, char** arguments) {
    std::vector<std::string> seeds;
    for (int i = 1; i < count; ++i) {
        for (const auto& entry : std::filesystem::recursive_directory_iterator(arguments[i])) {
            if (!entry.is_regular_file()) continue;
            std::ifstream file(entry.path(), std::ios::binary);
            seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
        }
    }
    if (seeds.empty()) {
        fmt::print(stderr, "usage: {} FOLDER_OF_SEEDS...\n", arguments[0]);
        return 2;
    }
    const char* const chosen = std::getenv("KEEPSTORE_TEST_SEED");
    const std::uint64_t seed = chosen ? std::strtoull(chosen, nullptr, 10) : std::random_device()();
    fmt::print(stderr, "KEEPSTORE_TEST_SEED={}\n", seed);
    for (const int number : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) std::signal(number, keep_current);

    run({});
    std::ranges::sort(seeds);  // Folders are listed in any order; a seed must give the same run everywhere.
    for (const std::string& text : seeds) run(text);

    generator random(seed);
    const auto end = std::chrono::steady_clock::now() + time_max;
    int rounds = 0;
    for (; rounds < rounds_max && std::chrono::steady_clock::now() < end; ++rounds) {
        std::string text = seeds[below(random, seeds.size())];
        for (std::size_t changes = below(random, 4) + 1; changes > 0; --changes) mutate(text, seeds, random);
        run(std::move(text));
    }
    fmt::print(stderr, "{} seeds and {} mutations: no failure\n", seeds.size(), rounds);
    return 0;
}
