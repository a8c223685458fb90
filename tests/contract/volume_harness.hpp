/// Helpers for tests of volumes: calls that run to their end on the test's thread, and random content.
#pragma once

#include "base/units.hpp"
#include "tests/support/run.hpp"
#include "tests/support/soon.hpp"
#include "volumes/volume.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::test {

using bytes = std::vector<std::byte>;

/// The seed of this run: KEEPSTORE_TEST_SEED, or a new one, which is printed.
inline std::uint64_t test_seed() {
    static const std::uint64_t seed = [] {
        const char* const given = std::getenv("KEEPSTORE_TEST_SEED");
        const std::uint64_t s = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
        std::cerr << "KEEPSTORE_TEST_SEED=" << s << '\n';
        return s;
    }();
    return seed;
}

inline std::mt19937_64& test_random() {
    static std::mt19937_64 random(test_seed());
    return random;
}

/// Safe to call from any thread.
inline bytes random_bytes(std::size_t size) {
    static std::mutex mutex;
    const std::lock_guard lock(mutex);
    bytes out(size);
    for (std::size_t i = 0; i < size; i += 8) {
        const std::uint64_t word = test_random()();
        std::memcpy(out.data() + i, &word, std::min<std::size_t>(8, size - i));
    }
    return out;
}

/// A name of its own; its first digits can be chosen. Volumes do not hash, so it needs no content.
inline md5_digest random_name(std::string_view first_digits = "") {
    md5_digest name;
    const bytes random = random_bytes(16);
    std::memcpy(name.bytes.data(), random.data(), 16);
    std::string hex = name.hex();
    std::ranges::copy(first_digits, hex.begin());
    return *md5_digest::parse(hex);
}

inline awaitable<result<void>> write_block(volumes::volume& v, md5_digest name, const bytes& content,
                                           std::optional<std::uint64_t> size, std::size_t piece) {
    auto writer = co_await v.create(name, size, soon());
    if (!writer) co_return std::unexpected(writer.error());
    for (std::size_t at = 0; at < content.size(); at += piece) {
        const auto part = std::span(content).subspan(at, std::min(piece, content.size() - at));
        auto r = co_await (*writer)->append(copy_to_heap_slice(part), soon());
        if (!r) co_return r;
    }
    co_return co_await (*writer)->commit(std::nullopt, soon());
}

inline result<void> put(volumes::volume& v, const md5_digest& name, const bytes& content) {
    return run(write_block(v, name, content, content.size(), 256 * KiB));
}

inline awaitable<result<bytes>> read_block(volumes::volume& v, md5_digest name) {
    auto reader = co_await v.open(name, soon());
    if (!reader) co_return std::unexpected(reader.error());
    const auto into = make_heap_slice(static_cast<std::size_t>((*reader)->size()));
    auto n = co_await (*reader)->read_at(0, into, soon());
    if (!n) co_return std::unexpected(n.error());
    co_return bytes(into.bytes.begin(), into.bytes.begin() + static_cast<std::ptrdiff_t>(*n));
}

inline result<bytes> get(volumes::volume& v, const md5_digest& name) {
    return run(read_block(v, name));
}

class collecting_sink final : public volumes::index_sink {
  public:
    awaitable<result<void>> put(std::span<const volumes::block_info> batch) override {
        blocks.insert(blocks.end(), batch.begin(), batch.end());
        ++batches;
        co_return result<void>{};
    }
    void foreign(std::uint64_t count) override { foreign_entries += count; }
    std::vector<volumes::block_info> blocks;
    unsigned batches = 0;
    std::uint64_t foreign_entries = 0;
};

/// Names with the prefix, sorted.
inline result<std::vector<md5_digest>> index_names(volumes::volume& v, std::string prefix = "") {
    collecting_sink sink;
    auto r = run(v.index(std::move(prefix), sink, deadline::never()));
    if (!r) return std::unexpected(r.error());
    std::vector<md5_digest> names;
    for (const auto& b : sink.blocks) names.push_back(b.name);
    std::ranges::sort(names);
    return names;
}

/// Number of entries with the prefix that are no blocks.
inline result<std::uint64_t> index_foreign(volumes::volume& v, std::string prefix = "") {
    collecting_sink sink;
    auto r = run(v.index(std::move(prefix), sink, deadline::never()));
    if (!r) return std::unexpected(r.error());
    return sink.foreign_entries;
}

inline volumes::block_time now() {
    return std::chrono::time_point_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now());
}

inline volumes::trash_options trash_at_once(std::chrono::nanoseconds lifetime = std::chrono::hours(1)) {
    return {.protect_for = std::chrono::nanoseconds::zero(), .lifetime = lifetime};
}

inline bool is_error(const auto& outcome, errc code) {
    return !outcome && outcome.error() == code;
}

}  // namespace keepstore::test
