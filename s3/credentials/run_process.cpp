#include "s3/credentials/run_process.hpp"

#include "base/unique_fd.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <thread>

extern char** environ;

namespace keepstore::s3 {
namespace {

// Pauses between polls for the end of a command that has closed its output, which it may do long before it ends.
constexpr std::chrono::milliseconds poll_pause_min{1};
constexpr std::chrono::milliseconds poll_pause_max{50};

/// Kills and reaps the command, unless it was reaped already.
class child_process {
  public:
    explicit child_process(pid_t pid) : pid_(pid) {}
    ~child_process() {
        if (pid_ < 0) return;
        kill(-pid_, SIGKILL);  // The whole group: the shell and its children.
        static_cast<void>(reap(0));
    }
    child_process(const child_process&) = delete;
    child_process& operator=(const child_process&) = delete;

    /// Waits for its end. \returns its wait status; nullopt at the deadline.
    [[nodiscard]] std::optional<int> wait(deadline until) {
        for (auto pause = poll_pause_min;; pause = std::min(2 * pause, poll_pause_max)) {
            if (auto status = reap(WNOHANG)) return status;
            if (until.passed()) return std::nullopt;
            std::this_thread::sleep_for(pause);
        }
    }

  private:
    std::optional<int> reap(int options) {
        int status = -1;
        pid_t got = -1;
        do {
            got = waitpid(pid_, &status, options);
        } while (got < 0 && errno == EINTR);
        if (got == 0) return std::nullopt;
        pid_ = -1;
        return status;
    }

    pid_t pid_;
};

/// \returns the process id, or -1.
pid_t spawn_shell(const std::string& command, int output) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    if (posix_spawn_file_actions_init(&actions) != 0) return -1;
    if (posix_spawnattr_init(&attributes) != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return -1;
    }
    sigset_t none;
    sigset_t defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    // The daemon ignores SIGPIPE and blocks signals for its signal loop; a command expects neither.
    sigaddset(&defaults, SIGPIPE);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

    std::string shell = "sh";
    std::string flag = "-c";
    std::string text = command;
    char* arguments[] = {shell.data(), flag.data(), text.data(), nullptr};
    pid_t pid = -1;
    if (posix_spawn(&pid, "/bin/sh", &actions, &attributes, arguments, environ) != 0) pid = -1;
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

/// Returns the timeout for poll() in milliseconds; -1 waits for ever.
int time_left(deadline until) {
    if (until.is_never()) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until.at() - deadline::clock::now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 3'600'000));
}

}  // namespace

result<std::string> run_process(const std::string& command, std::size_t output_max, deadline until) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return std::unexpected(error_from_errno(errno, "pipe"));
    const unique_fd from(ends[0]);
    unique_fd to(ends[1]);
    const auto pid = spawn_shell(command, to.get());
    if (pid < 0) return fail(errc::io_error, "cannot start the command");
    child_process child(pid);
    to.reset();

    std::string out;
    while (true) {
        pollfd waiting{from.get(), POLLIN, 0};
        const int ready = poll(&waiting, 1, time_left(until));
        if (ready < 0 && errno == EINTR) continue;
        if (ready < 0) return std::unexpected(error_from_errno(errno, "poll"));
        if (ready == 0) {
            if (until.passed()) return fail(errc::timeout, "the command took too long");
            continue;
        }
        char buffer[4096];
        const auto n = read(from.get(), buffer, sizeof buffer);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return std::unexpected(error_from_errno(errno, "read"));
        if (n == 0) break;
        out.append(buffer, static_cast<std::size_t>(n));
        if (out.size() > output_max) return fail(errc::too_large, "the output of the command is too large");
    }
    const auto status = child.wait(until);
    if (!status) return fail(errc::timeout, "the command took too long");
    if (!WIFEXITED(*status) || WEXITSTATUS(*status) != 0) {
        return fail(errc::io_error, WIFEXITED(*status)
                                        ? fmt::format("the command ended with status {}", WEXITSTATUS(*status))
                                        : std::string("the command was killed"));
    }
    return out;
}

}  // namespace keepstore::s3
