/// What the kernel says about a process: CPU time of all its threads, memory, threads, descriptors.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>

namespace keepstore::bench {

struct proc_stats {
    double cpu_user_seconds = 0;  ///< all threads, also those that have ended
    double cpu_system_seconds = 0;
    std::uint64_t rss_bytes = 0;       ///< VmRSS: with mapped page-cache pages
    std::uint64_t rss_anon_bytes = 0;  ///< RssAnon: what the process itself holds
    std::uint64_t rss_peak_bytes = 0;  ///< VmHWM since the start or the last reset_peak()
    std::uint64_t threads = 0;
    std::uint64_t descriptors = 0;

    [[nodiscard]] double cpu_seconds() const { return cpu_user_seconds + cpu_system_seconds; }
    /// Processes that serve together.
    void add(const proc_stats& other);
};

struct tcp_stats {
    std::uint64_t sockets = 0;
    std::uint64_t memory_bytes = 0;  ///< what the kernel holds for all of them
};

/// Of the whole machine (memory) or network namespace (sockets).
tcp_stats read_tcp_stats();

/// \returns nothing if there is no such process (any more).
std::optional<proc_stats> read_proc_stats(pid_t pid);

/// Starts VmHWM afresh (clear_refs 5). \returns false where the kernel or the permissions forbid
/// it.
bool reset_peak(pid_t pid);

}  // namespace keepstore::bench
