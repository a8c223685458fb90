#include "daemon/flags.hpp"

#include "base/join.hpp"
#include "cluster_config/flag_syntax.hpp"
#include "reports/config_reference.hpp"

#include <fmt/format.h>

#include <unistd.h>

#include <array>
#include <expected>

namespace keepstore::daemon {
namespace {

/// In the order of the help text.
constexpr std::array<cluster_config::flag, 12> flags{{
    {"check", true, "say what this host would serve and what is wrong, then exit (0: fine, 1: not)"},
    {"config", false,
     "cluster configuration file, - for standard input (default $ARVADOS_CONFIG, else "
     "/etc/arvados/config.yml)"},
    {"config-reference", true, "print every configuration key with its default and its meaning, and exit"},
    {"legacy-crunch-dispatch-slurm-config", false, "accepted and ignored"},
    {"legacy-keepbalance-config", false, "accepted and ignored"},
    {"legacy-keepproxy-config", false, "accepted and ignored"},
    {"legacy-keepstore-config", false,
     "accepted and ignored: migrate old keepstore.yml files to the cluster configuration"},
    {"legacy-keepweb-config", false, "accepted and ignored"},
    {"legacy-ws-config", false, "accepted and ignored"},
    {"pprof", false, "[addr]:port, accepted and ignored: there is no Go profile to serve"},
    {"skip-legacy", true, "do not look for old configuration files"},
    {"version", true, "print the version and exit"},
}};

std::string usage(std::string_view program) {
    return fmt::format(
        "Usage: {0} [options]\n"
        "       {0} probe-s3 [options]\n    \ttry the S3 volumes of a configuration step by step, see {0} probe-s3 "
        "-help\n\n{1}",
        program, cluster_config::describe_flags(flags));
}

command_line leave(int code, std::string output, std::string errors) {
    return {.todo = command_line::action::leave,
            .exit_code = code,
            .output = std::move(output),
            .errors = std::move(errors)};
}

command_line usage_error(std::string_view text) {
    return leave(2, {}, fmt::format("error parsing command line arguments: {} (try -help)\n", text));
}

}  // namespace

std::string version_text() {
#if defined(__clang__)
    return fmt::format("{} (C++ clang {}.{}.{})", KEEPSTORE_VERSION, __clang_major__, __clang_minor__,
                       __clang_patchlevel__);
#else
    return fmt::format("{} (C++ gcc {})", KEEPSTORE_VERSION, __VERSION__);
#endif
}

command_line parse_command_line(std::string_view program, std::span<const std::string> arguments,
                                std::string_view config_default) {
    command_line out;
    out.config_path = config_default.empty() ? config_path_default : config_default;
    bool version = false;
    bool reference = false;

    const auto set = [&](std::string_view name, std::string_view value) -> std::expected<void, std::string> {
        const bool on = value == "true";
        if (name == "version") {
            version = on;
        } else if (name == "config-reference") {
            reference = on;
        } else if (name == "skip-legacy") {
            out.skip_legacy = on;
        } else if (name == "check") {
            out.todo = on ? command_line::action::check : command_line::action::serve;
        } else if (name == "config") {
            out.config_path = value;
        } else {
            if (name == "legacy-keepstore-config") out.legacy_keepstore_config = value;
            if (!value.empty()) out.warnings.push_back(fmt::format("flag -{} has no effect in this program", name));
        }
        return {};
    };
    const auto read = cluster_config::read_flags(flags, arguments, set);
    if (!read) return usage_error(read.error());
    if (read->help) return leave(0, {}, usage(program));
    if (read->rest < arguments.size()) {
        return leave(2, {},
                     fmt::format("unrecognized command line arguments: [{}] (try -help)\n",
                                 join(arguments.subspan(read->rest), " ")));
    }
    if (reference) return leave(0, reports::config_reference(), {});
    if (version) return leave(0, fmt::format("{} {}\n", program, version_text()), {});
    return out;
}

std::string legacy_file_warning(const command_line& flags_given) {
    const std::string& path = flags_given.legacy_keepstore_config;
    if (flags_given.skip_legacy || path.empty() || ::access(path.c_str(), R_OK) != 0) return {};
    return fmt::format(
        "{}: old keepstore configuration files are not read; move its settings to the cluster "
        "configuration, "
        "then remove the file or give -skip-legacy",
        path);
}

}  // namespace keepstore::daemon
