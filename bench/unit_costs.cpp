/// keepstore_unit_costs: what the steps that no block store can avoid cost on this machine, at this
/// moment. The daemon's figures are stated as ratios to these (bench/README.md). Every step runs in
/// several rounds, interleaved with the others; the first round warms up and does not count.
#include "bench/cost_meter.hpp"
#include "bench/unit_steps.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <exception>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>

namespace keepstore::bench {

namespace {

struct settings {
    step_settings steps;
    unsigned rounds = 4;
    std::string only;
    bool json = false;
};

struct step {
    const char* name;
    const char* what;
    std::function<std::optional<cost>(const step_settings&)> run;
};

std::vector<step> all_steps() {
    return {
        {"md5", "OpenSSL MD5, one stream, hot 256 KiB buffer", measure_md5},
        {"pread", "pread of cached data into a hot 256 KiB buffer", measure_pread},
        {"recv", "recv over loopback in 256 KiB steps", measure_recv},
        {"send", "send over loopback in 256 KiB steps, hot buffer", measure_send},
        {"sendfile", "sendfile of cached data over loopback", measure_sendfile},
        {"write_buffered", "buffered write of new files, 256 KiB steps, no sync", measure_write_buffered},
        {"write_direct", "O_DIRECT write of new files, 4 MiB steps, fsync, one after another", measure_write_direct},
        {"write_direct_parallel", "the same, all files at once", measure_write_direct_parallel},
        {"read_direct", "O_DIRECT read of 64 MiB files, 4 MiB steps, one after another", measure_read_direct},
        {"read_direct_parallel", "the same, all files at once", measure_read_direct_parallel},
        {"read_small", "O_DIRECT read of 64 KiB files, one after another", measure_read_small},
        {"create_durable", "create+write+fsync+rename+fsync of the folder, small files", measure_create_durable},
        {"create_synced", "the same without the folder's fsync", measure_create_synced},
    };
}

settings parse(std::span<char*> arguments) {
    settings s;
    for (std::size_t i = 1; i < arguments.size(); ++i) {
        const std::string name = arguments[i];
        if (name == "--json") {
            s.json = true;
            continue;
        }
        if (++i == arguments.size()) throw std::invalid_argument(name + " needs a value");
        const std::string value = arguments[i];
        const auto number = [&] { return static_cast<unsigned>(std::stoul(value)); };
        if (name == "--dir")
            s.steps.folder = value;
        else if (name == "--rounds")
            s.rounds = number();
        else if (name == "--seconds")
            s.steps.seconds = std::stod(value);
        else if (name == "--files")
            s.steps.files = number();
        else if (name == "--threads")
            s.steps.threads = number();
        else if (name == "--only")
            s.only = "," + value + ",";
        else
            throw std::invalid_argument("unknown option " + name);
    }
    return s;
}

bool wanted(const settings& s, const char* name) {
    return s.only.empty() || s.only.find(fmt::format(",{},", name)) != std::string::npos;
}

void print(const settings& s, const std::vector<step_costs>& results) {
    nlohmann::json out = nlohmann::json::object();
    for (const auto& r : results) {
        const auto m = r.median();
        if (s.json) {
            if (!m) {
                out[r.name] = nullptr;
                continue;
            }
            auto& entry = out[r.name];
            entry = {{"wall_s", m->wall_seconds}, {"cpu_s", m->cpu_seconds}, {"rounds", r.rounds.size()}};
            if (m->bytes > 0) {
                entry["mb_per_s"] = m->mb_per_second();
                entry["cpu_s_per_gib"] = m->cpu_seconds_per_gib();
            }
            if (m->operations > 0) {
                entry["ops_per_s"] = m->operations_per_second();
                entry["cpu_us_per_op"] = m->cpu_us_per_operation();
            }
        } else if (!m) {
            fmt::print("{:<22} not possible here  ({})\n", r.name, r.what);
        } else if (m->operations > 0) {
            fmt::print("{:<22} {:>8.0f} op/s {:>8.0f} CPU-us/op     {}\n", r.name, m->operations_per_second(),
                       m->cpu_us_per_operation(), r.what);
        } else {
            fmt::print("{:<22} {:>8.0f} MB/s {:>8.3f} CPU-s/GiB     {}\n", r.name, m->mb_per_second(),
                       m->cpu_seconds_per_gib(), r.what);
        }
    }
    if (s.json) fmt::print("{}\n", out.dump());
}

void run(const settings& s) {
    std::vector<step_costs> results;
    std::vector<step> chosen;
    for (auto& candidate : all_steps()) {
        if (!wanted(s, candidate.name)) continue;
        results.push_back({candidate.name, candidate.what, {}});
        chosen.push_back(std::move(candidate));
    }
    if (chosen.empty()) throw std::invalid_argument("--only names no step");
    for (unsigned round = 0; round < s.rounds; ++round) {
        for (std::size_t i = 0; i < chosen.size(); ++i) {
            if (const auto c = chosen[i].run(s.steps)) results[i].rounds.push_back(*c);
        }
    }
    print(s, results);
}

}  // namespace

}  // namespace keepstore::bench

int main(int argc, char** argv) {
    using namespace keepstore::bench;
    const std::span arguments(argv, static_cast<std::size_t>(argc));
    if (argc > 1 && std::string_view(argv[1]) == "--help") {
        fmt::print(
            "keepstore_unit_costs [--dir DIR] [--rounds 4] [--seconds 0.5] [--files 16] [--threads "
            "16]\n"
            "                     [--only STEP,STEP] [--json]\n"
            "DIR: where files are written (default /tmp). The first of several rounds does not "
            "count.\nSteps:\n");
        for (const auto& s : all_steps()) fmt::print("  {:<22} {}\n", s.name, s.what);
        return 0;
    }
    try {
        run(parse(arguments));
    } catch (const std::exception& e) {
        std::fprintf(stderr, "keepstore_unit_costs: %s\n", e.what());
        return 2;
    }
    return 0;
}
