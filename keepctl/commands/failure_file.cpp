#include "keepctl/commands/failure_file.hpp"

#include "keepctl/cluster/limits.hpp"
#include "keepctl/cluster/local_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

namespace keepstore::keepctl {

result<void> failure_file::open() {
    if (path_.empty()) return success();
    file_ = unique_fd(::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!file_) return file_error("open", path_);
    return success();
}

bool failure_file::add(const block_failure& failure) {
    ++count_;
    if (first_.size() < limits::failures_printed_max) first_.push_back(failure);
    if (!file_) return true;
    const std::string line = failure_line(failure);
    if (::write(file_.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size())) return true;
    problem_ = fmt::format("{}: {}", path_, error_from_errno(errno, "write").text);
    file_.reset();
    return false;
}

void failure_file::close() {
    if (file_ && ::fsync(file_.get()) != 0 && errno != EINVAL && errno != EROFS)
        problem_ = fmt::format("{}: {}", path_, error_from_errno(errno, "sync").text);
    file_.reset();
}

}  // namespace keepstore::keepctl
