/// Counters of one measured window. Each worker thread owns one per window; they are merged when
/// the threads are done.
#pragma once

#include "bench/histogram.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <string>

namespace keepstore::bench {

/// What a connection is there for; also the groups of the report.
enum class role { reader, writer, slow_reader, slow_writer, slow_header, idle };
inline constexpr std::size_t role_count = 6;

constexpr const char* name_of(role r) {
    switch (r) {
        case role::reader:
            return "get";
        case role::writer:
            return "put";
        case role::slow_reader:
            return "slow readers";
        case role::slow_writer:
            return "slow writers";
        case role::slow_header:
            return "slow headers";
        case role::idle:
            return "idle";
    }
    return "";
}

/// Latencies of one 4 KiB and one 64 MiB operation do not belong into one percentile.
enum class size_class { tiny, small, medium, large, full };
inline constexpr std::size_t size_class_count = 5;

constexpr size_class class_of(std::uint64_t bytes) {
    if (bytes <= 4 * 1024) return size_class::tiny;
    if (bytes <= 64 * 1024) return size_class::small;
    if (bytes <= 1024 * 1024) return size_class::medium;
    return bytes <= 16 * 1024 * 1024 ? size_class::large : size_class::full;
}

constexpr const char* name_of(size_class c) {
    switch (c) {
        case size_class::tiny:
            return "<=4k";
        case size_class::small:
            return "<=64k";
        case size_class::medium:
            return "<=1m";
        case size_class::large:
            return "<=16m";
        case size_class::full:
            return ">16m";
    }
    return "";
}

struct latency_stats {
    histogram whole;       ///< from the first request byte to the last response byte; good operations only
    histogram first_byte;  ///< to the first response byte

    void merge(const latency_stats& other) {
        whole.merge(other.whole);
        first_byte.merge(other.first_byte);
    }
};

struct group_stats {
    std::uint64_t good = 0;
    /// Body bytes that went over the socket within the window, also of operations that did not end
    /// in it: with few large operations a count of finished ones would be coarse.
    std::uint64_t body_bytes = 0;
    std::array<latency_stats, size_class_count> by_size;
    std::map<std::string, std::uint64_t> failures;  ///< by status or cause
    std::string failure_example;

    void merge(const group_stats& other) {
        good += other.good;
        body_bytes += other.body_bytes;
        for (std::size_t i = 0; i < size_class_count; ++i) by_size[i].merge(other.by_size[i]);
        for (const auto& [cause, times] : other.failures) failures[cause] += times;
        if (failure_example.empty()) failure_example = other.failure_example;
    }

    [[nodiscard]] std::uint64_t failed() const {
        std::uint64_t sum = 0;
        for (const auto& [cause, times] : failures) sum += times;
        return sum;
    }
    [[nodiscard]] latency_stats all_sizes() const {
        latency_stats sum;
        for (const auto& part : by_size) sum.merge(part);
        return sum;
    }
};

struct window_stats {
    std::array<group_stats, role_count> groups;

    group_stats& of(role r) { return groups[static_cast<std::size_t>(r)]; }
    [[nodiscard]] const group_stats& of(role r) const { return groups[static_cast<std::size_t>(r)]; }

    void merge(const window_stats& other) {
        for (std::size_t i = 0; i < role_count; ++i) groups[i].merge(other.groups[i]);
    }
};

}  // namespace keepstore::bench
