/// Limits of clone, with their reasons; see base/limits.hpp.
#pragma once

#include "base/units.hpp"

#include <chrono>
#include <cstddef>

namespace keepstore::limits {

/// Requests at a time that a run begins with, and the most that it goes up to by default: copies inside a service cost
/// this host next to nothing, and services take some hundred at once.
inline constexpr unsigned clone_requests_first = 8;
inline constexpr unsigned clone_jobs_default = 64;
/// Blocks that are streamed through this host at a time, by default: as for copies between other places.
inline constexpr unsigned clone_stream_jobs_default = 8;
/// The number of requests doubles after each such window as long as that helps (a window has some hundred of them), and
/// is then tried anew every 4 s.
inline constexpr std::chrono::milliseconds clone_growth_window{250};
inline constexpr std::chrono::milliseconds clone_steady_window{4000};
/// Growth of the rate that makes it worth while: less is noise.
inline constexpr double clone_gain_min = 1.05;
/// Of several throttled responses only one in this time halves the number: they came from one burst.
inline constexpr std::chrono::milliseconds clone_cut_interval{1000};
/// Segments that are listed at a time. Each has up to six listings, with a page of 1,000 names (0.3 MB) each.
inline constexpr unsigned clone_segments_max = 8;
/// Planned blocks for each transfer: enough that none waits for a page, few enough that a stop is quick.
inline constexpr unsigned clone_planned_per_job = 4;
/// A claim on a segment: renewed every third of it.
inline constexpr std::chrono::seconds clone_claim_time{60};
/// How often a worker looks whether segments of others are done, or their claims are old.
inline constexpr std::chrono::milliseconds clone_poll_interval{1000};
/// A file of a job. A response has at most clone_failures_kept failures, of some 200 bytes each.
inline constexpr std::size_t clone_job_file_bytes_max = 4 * MiB;
inline constexpr std::size_t clone_failures_kept = 1000;
/// Files of a job that are read at a time: 4,096 of them take some seconds at 20 ms each.
inline constexpr std::size_t clone_job_reads_max = 16;
/// Attempts at a file of a job that others change at the same time.
inline constexpr unsigned clone_swap_attempts = 8;
/// Listings of keys that are neither blocks, markers nor trash stop after this many pages: they are only counted.
inline constexpr unsigned clone_foreign_pages_max = 100;

}  // namespace keepstore::limits
