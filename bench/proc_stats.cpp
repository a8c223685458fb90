#include "bench/proc_stats.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace keepstore::bench {

std::optional<proc_stats> read_proc_stats(pid_t pid) {
    const auto folder = fmt::format("/proc/{}", pid);
    proc_stats stats;
    {
        std::ifstream file(folder + "/stat");
        std::string text;
        if (!std::getline(file, text)) return std::nullopt;
        // The command name may hold spaces and brackets: fields are counted from the last bracket;
        // state is field 3.
        const auto bracket = text.rfind(')');
        if (bracket == std::string::npos) return std::nullopt;
        std::istringstream fields(text.substr(bracket + 2));
        std::string field;
        const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
        for (int number = 3; number <= 15 && fields >> field; ++number) {
            if (number == 14) stats.cpu_user_seconds = std::stod(field) / ticks;
            if (number == 15) stats.cpu_system_seconds = std::stod(field) / ticks;
        }
    }
    std::ifstream status(folder + "/status");
    for (std::string key, line; status >> key && std::getline(status, line);) {
        std::istringstream value(line);
        std::uint64_t number = 0;
        if (!(value >> number)) continue;
        if (key == "VmRSS:") stats.rss_bytes = number * 1024;
        if (key == "RssAnon:") stats.rss_anon_bytes = number * 1024;
        if (key == "VmHWM:") stats.rss_peak_bytes = number * 1024;
        if (key == "Threads:") stats.threads = number;
    }
    std::error_code ec;
    for (std::filesystem::directory_iterator entry(folder + "/fd", ec), end; !ec && entry != end; entry.increment(ec)) {
        ++stats.descriptors;
    }
    return stats;
}

void proc_stats::add(const proc_stats& other) {
    cpu_user_seconds += other.cpu_user_seconds;
    cpu_system_seconds += other.cpu_system_seconds;
    rss_bytes += other.rss_bytes;
    rss_anon_bytes += other.rss_anon_bytes;
    rss_peak_bytes += other.rss_peak_bytes;
    threads += other.threads;
    descriptors += other.descriptors;
}

tcp_stats read_tcp_stats() {
    tcp_stats stats;
    std::ifstream file("/proc/net/sockstat");
    for (std::string line; std::getline(file, line);) {
        std::istringstream words(line);
        std::string key;
        if (!(words >> key) || key != "TCP:") continue;
        for (std::uint64_t number = 0; words >> key >> number;) {
            if (key == "inuse") stats.sockets = number;
            if (key == "mem") stats.memory_bytes = number * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
        }
    }
    return stats;
}

bool reset_peak(pid_t pid) {
    std::ofstream file(fmt::format("/proc/{}/clear_refs", pid));
    file << "5" << std::flush;
    return file.good();
}

}  // namespace keepstore::bench
