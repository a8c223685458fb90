#include "bench/load_options.hpp"

#include <fmt/format.h>

#include <functional>
#include <random>
#include <span>
#include <stdexcept>
#include <vector>

namespace keepstore::bench {

namespace {

struct option {
    std::string_view name;
    std::string_view value;  ///< what the help calls it; empty: a switch
    std::string_view help;
    std::function<void(const std::string&)> apply;
};

load_mode parse_mode(const std::string& text) {
    if (text == "get") return load_mode::get;
    if (text == "put") return load_mode::put;
    if (text == "mixed") return load_mode::mixed;
    if (text == "reput") return load_mode::reput;
    throw std::invalid_argument("mode must be get, put, mixed or reput");
}

body_use parse_body(const std::string& text) {
    if (text == "discard") return body_use::discard;
    if (text == "copy") return body_use::copy;
    if (text == "verify") return body_use::verify;
    throw std::invalid_argument("body must be discard, copy or verify");
}

double parse_real(const std::string& text) {
    std::size_t used = 0;
    const double value = std::stod(text, &used);
    if (used != text.size() || value < 0) throw std::invalid_argument("not a number: " + text);
    return value;
}

std::vector<pid_t> parse_pids(std::string_view text) {
    std::vector<pid_t> pids;
    while (!text.empty()) {
        const auto comma = std::min(text.find(','), text.size());
        pids.push_back(static_cast<pid_t>(parse_size(text.substr(0, comma))));
        text.remove_prefix(std::min(comma + 1, text.size()));
    }
    return pids;
}

template <class Number>
std::function<void(const std::string&)> integer(Number& target) {
    return [&target](const std::string& text) { target = static_cast<Number>(parse_size(text)); };
}

std::function<void(const std::string&)> real(double& target) {
    return [&target](const std::string& text) { target = parse_real(text); };
}

std::function<void(const std::string&)> string(std::string& target) {
    return [&target](const std::string& text) { target = text; };
}

std::function<void(const std::string&)> flag(bool& target) {
    return [&target](const std::string&) { target = true; };
}

std::vector<option> options_for(load_options& o) {
    return {
        {"--mode", "M", "get, put, mixed or reput", [&](const auto& t) { o.mode = parse_mode(t); }},
        {"--url", "URL", "http://127.0.0.1:PORT, or with /BUCKET a public bucket on S3",
         [&](const auto& t) { o.server = server_address::parse(t); }},
        {"--token", "T", "bearer token", string(o.token)},
        {"--size", "S", "block sizes: 64m | 4k,64k,1m | 4k:9,64m:1 (weights) | 4k..64m (log-uniform)",
         [&](const auto& t) { o.sizes = size_mix::parse(t); }},
        {"--connections", "N", "connections (default 16)", integer(o.connections)},
        {"--threads", "N", "threads of this tool (default 1)", integer(o.threads)},
        {"--get-percent", "P", "share of reads in mixed mode (default 50)", integer(o.get_percent)},
        {"--seconds", "S", "length of each measured window (default 10)", real(o.seconds)},
        {"--warmup", "S", "unmeasured time before it (default 1)", real(o.warmup_seconds)},
        {"--count", "N", "this many operations instead of a time", integer(o.count)},
        {"--time-limit", "S", "end of a run by count (default 600)", real(o.time_limit_seconds)},
        {"--rate", "B", "bytes/s of each connection (default unlimited)", real(o.rate)},
        {"--hold", "S", "with --rate: after each request's head move nothing for this long", real(o.hold_seconds)},
        {"--ramp", "S", "connections begin spread over this time (default at once)", real(o.ramp_seconds)},
        {"--range", "B", "GET a random range of this length", integer(o.range_bytes)},
        {"--body", "USE", "discard (default), copy or verify", [&](const auto& t) { o.body = parse_body(t); }},
        {"--timeout", "S", "an operation fails after this (default 300)", real(o.operation_timeout_seconds)},
        {"--slow-readers", "N", "connections that read at --slow-rate", integer(o.slow_readers)},
        {"--slow-writers", "N", "connections that send a body at --slow-rate", integer(o.slow_writers)},
        {"--slow-headers", "N", "connections that send even the head at --slow-rate", integer(o.slow_headers)},
        {"--slow-rate", "B", "bytes/s of each of those (default 1)", real(o.slow_rate)},
        {"--slow-size", "B", "block size that slow writers announce (default 64m)", integer(o.slow_size)},
        {"--idle", "N", "idle keep-alive connections", integer(o.idle)},
        {"--settle", "S", "time for these to get going (default 2)", real(o.settle_seconds)},
        {"--compare-alone", "", "first measure a window without them", flag(o.compare_alone)},
        {"--preload", "N", "write N blocks first, to be read", integer(o.preload)},
        {"--warm-reads", "", "read each of those once first", flag(o.warm_reads)},
        {"--locators", "FILE", "locators to read, one a line", string(o.locators_file)},
        {"--save-locators", "FILE", "write the locators of all new blocks", string(o.save_locators_file)},
        {"--seed", "N", "seed of the content (default random)", integer(o.seed)},
        {"--congestion", "NAME", "TCP congestion control of our sockets (default cubic)", string(o.socket.congestion)},
        {"--receive-buffer", "B", "SO_RCVBUF (default: the system's, or small when slow)",
         integer(o.socket.receive_buffer_bytes)},
        {"--server-pid", "PID,PID", "report CPU and memory of these processes, summed",
         [&](const auto& t) { o.server_pids = parse_pids(t); }},
        {"--label", "TEXT", "name of the run in the output", string(o.label)},
        {"--json", "", "one line of JSON instead of text", flag(o.json)},
    };
}

void check(const load_options& o) {
    if (o.server.socket.sin_port == 0) throw std::invalid_argument("--url is missing");
    if (o.connections == 0 || o.threads == 0) throw std::invalid_argument("connections and threads must be > 0");
    if (o.get_percent > 100) throw std::invalid_argument("--get-percent must be at most 100");
    const bool needs_blocks = o.mode != load_mode::put || o.slow_readers > 0;
    if (needs_blocks && o.preload == 0 && o.locators_file.empty()) {
        throw std::invalid_argument("reading needs --preload or --locators");
    }
    if (o.mode == load_mode::reput && !o.locators_file.empty()) {
        throw std::invalid_argument("reput needs --preload: the content of --locators is not known");
    }
    if (o.body == body_use::verify && o.range_bytes > 0 && !o.locators_file.empty()) {
        throw std::invalid_argument("a range of a block with unknown content cannot be verified");
    }
    if (o.compare_alone && o.count > 0) throw std::invalid_argument("--compare-alone is for runs by time");
    if (o.hold_seconds > 0 && o.rate <= 0) throw std::invalid_argument("--hold needs --rate");
    if (o.has_slow() && o.slow_rate <= 0) throw std::invalid_argument("--slow-rate must be > 0");
}

}  // namespace

load_options parse_load_options(int argc, char** argv) {
    load_options result;
    const auto known = options_for(result);
    const std::span arguments(argv, static_cast<std::size_t>(argc));
    for (std::size_t i = 1; i < arguments.size(); ++i) {
        const std::string name = arguments[i];
        const option* found = nullptr;
        for (const auto& candidate : known) {
            if (candidate.name == name) found = &candidate;
        }
        if (found == nullptr) throw std::invalid_argument("unknown option " + name);
        std::string value;
        if (!found->value.empty()) {
            if (++i == arguments.size()) throw std::invalid_argument(name + " needs a value");
            value = arguments[i];
        }
        try {
            found->apply(value);
        } catch (const std::exception& e) {
            throw std::invalid_argument(fmt::format("{} {}: {}", name, value, e.what()));
        }
    }
    if (result.seed == 0) {
        std::random_device random;
        result.seed = (static_cast<std::uint64_t>(random()) << 32) | random();
    }
    check(result);
    return result;
}

std::string load_help() {
    std::string text = "keepstore_load: HTTP load for a block store, with what it costs the server\n\n";
    load_options unused;
    for (const auto& o : options_for(unused)) {
        text += fmt::format("  {:<24} {}\n", fmt::format("{} {}", o.name, o.value), o.help);
    }
    text += "\nSizes and byte counts take the suffixes k, m and g (powers of 1024).\n";
    return text;
}

}  // namespace keepstore::bench
