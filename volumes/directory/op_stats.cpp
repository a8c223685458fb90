#include "volumes/directory/op_stats.hpp"

#include "base/log.hpp"
#include "volumes/directory/limits.hpp"

#include <atomic>
#include <cerrno>
#include <chrono>

namespace keepstore::volumes::directory {
namespace {

constexpr std::array<const char*, 8> operation_names{"open", "create", "rename", "unlink",
                                                     "stat", "flock",  "utimes", "readdir"};
constexpr std::array<const char*, 3> error_names{"*fs.PathError", "*os.LinkError", "syscall.Errno"};

// At most once per interval, since thousands of requests fail when descriptors run out; one limit for all volumes.
void warn_no_descriptors(int number) {
    using clock = std::chrono::steady_clock;
    static std::atomic<clock::rep> next{clock::time_point::min().time_since_epoch().count()};
    const auto now = clock::now().time_since_epoch().count();
    auto due = next.load(std::memory_order_relaxed);
    if (now < due ||
        !next.compare_exchange_strong(due, now + clock::duration(limits::descriptor_warning_interval).count())) {
        return;
    }
    log::error("too many open files: requests are refused; raise the limit (LimitNOFILE=), or lower MaxConnections",
               {{"of", number == EMFILE ? "the process" : "the system"}});
}

}  // namespace

// A missing file is not counted as an error (docs/compatibility.md: the Go daemon counts it).
error op_stats::failed(op which, int number, std::string_view what) {
    if (number == ENOENT) return error_from_errno(number, what);
    if (number == EMFILE || number == ENFILE) warn_no_descriptors(number);
    switch (which) {
        case op::rename:
            count(error_type::link_error);
            break;
        case op::flock:
            count(error_type::number);
            break;
        default:
            count(error_type::path_error);
            break;
    }
    return error_from_errno(number, what);
}

error op_stats::failed(int number, std::string_view what) {
    if (number != ENOENT) count(error_type::path_error);
    return error_from_errno(number, what);
}

volume_stats op_stats::snapshot() const {
    volume_stats out;
    for (std::size_t i = 0; i < operations_.size(); ++i) out.operations[operation_names[i]] = operations_[i].value();
    for (std::size_t i = 0; i < errors_.size(); ++i) out.errors[error_names[i]] = errors_[i].value();
    out.bytes_in = bytes_in_.value();
    out.bytes_out = bytes_out_.value();
    return out;
}

}  // namespace keepstore::volumes::directory
