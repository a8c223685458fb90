/// keepstore: a content-addressed block storage daemon. See README.md and docs/ARCHITECTURE.md.

#include "base/log.hpp"
#include "cluster_config/loader.hpp"
#include "daemon/flags.hpp"
#include "daemon/inherited_socket.hpp"
#include "daemon/probe_command.hpp"
#include "daemon/service.hpp"
#include "daemon/signals.hpp"
#include "reports/check.hpp"
#include "reports/start_plan.hpp"
#include "volumes/factory.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace {

using namespace keepstore;
using namespace keepstore::daemon;

void print(std::FILE* to, std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), to);
    std::fflush(to);
}

// Opens /dev/null on those of stdin, stdout and stderr that are closed. Otherwise the next file that is opened gets the
// number, and log lines go into it. Call before anything is opened.
void open_standard_descriptors() {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
        if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
        // The lowest free number, which is `fd`, since those below are open. Without O_CLOEXEC, as stderr of a child.
        if (::open("/dev/null", O_RDWR) < 0) return;
    }
}

// docs/interface.md 1.3: one line "exiting" with the reason; systemd restarts after exit code 1.
int exit_with(std::string_view reason) {
    log::error("exiting", {{"error", reason}});
    log::flush();
    return 1;
}

void warn_all(const std::vector<std::string>& warnings) {
    for (const auto& text : warnings) log::warning(text);
}

int serve(const command_line& command, const cluster_config::environment& env) {
    // Before any thread starts: it changes the environment.
    auto inherited = inherited_socket::take();
    signals process_signals;
    warn_all(command.warnings);
    if (const auto legacy = legacy_file_warning(command); !legacy.empty()) log::warning(legacy);
    process_signals.starting("reading the configuration from " +
                             (command.config_path == "-" ? std::string("standard input") : command.config_path));
    const auto conf = cluster_config::load_config(command.config_path, env, std::cin);
    if (!conf) return exit_with(conf.error());
    const auto& logs = conf->cluster.logs;
    log::configure({.threshold = logs.level,
                    .shape = logs.format == cluster_config::log_shape::json ? log::format::json : log::format::text,
                    .cluster_id = conf->cluster.id,
                    .pid = true});
    warn_all(conf->warnings);
    warn_all(volumes::parameter_warnings(conf->cluster));
    if (!inherited) return exit_with(inherited.error());
    auto plan =
        reports::plan_start(*conf, {.service_internal_url = env.service_internal_url,
                                    .probe = inherited->probe(),
                                    .step = [&](std::string step) { process_signals.starting(std::move(step)); }});
    if (plan.where) warn_all(plan.where->warnings);
    warn_all(plan.warnings);
    if (!plan.problems.empty()) return exit_with(plan.problems.front());
    const auto served = run_service(*conf, plan, *inherited, process_signals);
    if (!served) return exit_with(served.error());
    log::flush();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    open_standard_descriptors();
    cluster_config::trust_arvados_authorities();
    const cluster_config::environment env = cluster_config::environment::of_process();
    const std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
    if (!arguments.empty() && arguments.front() == probe_command_name) {
        return run_probe_command(argv[0], std::span(arguments).subspan(1), env, std::cin);
    }
    const auto command = parse_command_line(argc > 0 ? argv[0] : "keepstore", arguments, env.config_path);
    switch (command.todo) {
        case command_line::action::leave:
            print(stdout, command.output);
            print(stderr, command.errors);
            return command.exit_code;
        case command_line::action::check: {
            const auto report =
                reports::check_host(cluster_config::load_config(command.config_path, env, std::cin), env);
            print(stdout, report.text);
            return report.exit_code;
        }
        case command_line::action::serve:
            break;
    }
    try {
        return serve(command, env);
    } catch (const std::system_error& e) {
        return exit_with(fmt::format("cannot start: {}", e.what()));
    } catch (const std::exception& e) {
        return exit_with(fmt::format("unexpected failure: {}", e.what()));
    }
}
