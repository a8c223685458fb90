/// What the command line of keepstore_load says, with its help text.
#pragma once

#include "bench/http_client.hpp"
#include "bench/size_mix.hpp"

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace keepstore::bench {

enum class load_mode {
    get,    ///< read blocks of the catalog in turn
    put,    ///< write new blocks
    mixed,  ///< reads and new writes
    reput,  ///< write blocks again that are already there
};

enum class body_use {
    discard,  ///< the kernel drops it (MSG_TRUNC): the client costs next to nothing
    copy,     ///< copied to the client and dropped
    verify,   ///< compared with what was written, or hashed and compared with the name
};

struct load_options {
    load_mode mode = load_mode::get;
    server_address server;
    std::string token;
    size_mix sizes = size_mix::parse("64m");
    unsigned connections = 16;
    unsigned threads = 1;
    unsigned get_percent = 50;        ///< mixed mode
    double seconds = 10;              ///< length of each measured window
    double warmup_seconds = 1;        ///< not with a count
    std::uint64_t count = 0;          ///< operations in all, instead of a time; 0: by time
    double time_limit_seconds = 600;  ///< a run by count ends here at the latest
    double rate = 0;                  ///< bytes/s of each connection; 0: unlimited
    double hold_seconds = 0;          ///< with a rate: move nothing this long after each request's head
    double ramp_seconds = 0;          ///< connections begin spread over this time
    std::uint64_t range_bytes = 0;    ///< GET this much from a random place; 0: whole blocks
    body_use body = body_use::discard;
    double operation_timeout_seconds = 300;

    // Connections in addition to the measured ones.
    unsigned slow_readers = 0;
    unsigned slow_writers = 0;
    unsigned slow_headers = 0;
    double slow_rate = 1;                ///< bytes/s
    std::uint64_t slow_size = 64 << 20;  ///< of the blocks that slow writers announce
    unsigned idle = 0;                   ///< keep-alive connections that did one request
    double settle_seconds = 2;           ///< between their start and the measured window
    bool compare_alone = false;          ///< measure a window without them first

    // The blocks to read.
    std::uint64_t preload = 0;  ///< written before the run
    bool warm_reads = false;    ///< each read once before the run
    std::string locators_file;
    std::string save_locators_file;

    std::uint64_t seed = 0;
    socket_options socket;
    std::vector<pid_t> server_pids;
    bool json = false;
    std::string label;

    [[nodiscard]] bool has_slow() const { return slow_readers + slow_writers + slow_headers + idle > 0; }
};

/// Throws std::invalid_argument with the text for the user.
load_options parse_load_options(int argc, char** argv);

std::string load_help();

}  // namespace keepstore::bench
