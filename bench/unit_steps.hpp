/// The steps of keepstore_unit_costs, each a function that runs one round. They throw
/// std::system_error.
#pragma once

#include "bench/cost_meter.hpp"

#include <optional>
#include <string>

namespace keepstore::bench {

struct step_settings {
    std::string folder = "/tmp";  ///< files are written into a new folder below, which is removed afterwards
    double seconds = 0.5;         ///< length of one round of a step that is not about files
    unsigned files = 16;          ///< of 64 MiB each, new ones
    unsigned threads = 16;        ///< for the creation of small files
};

// In unit_steps_memory.cpp: CPU, page cache and loopback (TCP_CONGESTION=cubic). CPU time is the
// measured side's thread.
std::optional<cost> measure_md5(const step_settings&);
std::optional<cost> measure_pread(const step_settings&);
std::optional<cost> measure_recv(const step_settings&);
std::optional<cost> measure_send(const step_settings&);
std::optional<cost> measure_sendfile(const step_settings&);

// In unit_steps_disk.cpp. CPU time is the whole process's. Nothing where the file system has no
// direct I/O.
std::optional<cost> measure_write_buffered(const step_settings&);
std::optional<cost> measure_write_direct(const step_settings&);
std::optional<cost> measure_write_direct_parallel(const step_settings&);
std::optional<cost> measure_read_direct(const step_settings&);
std::optional<cost> measure_read_direct_parallel(const step_settings&);
std::optional<cost> measure_read_small(const step_settings&);
std::optional<cost> measure_create_durable(const step_settings&);
std::optional<cost> measure_create_synced(const step_settings&);

}  // namespace keepstore::bench
