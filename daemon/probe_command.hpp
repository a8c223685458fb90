/// The sub-command probe-s3: tries the buckets of a configuration, or another one, step by step (s3/probe.hpp) and
/// reports problems in plain words. It is part of the daemon's program, so that it reads the configuration with the
/// same code and makes the same client of it: its results hold for the daemon of the same version.
#pragma once

#include "cluster_config/config.hpp"
#include "cluster_config/loader.hpp"
#include "s3/limits.hpp"
#include "volumes/s3/s3_volume.hpp"

#include <cstdio>
#include <expected>
#include <iosfwd>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::daemon {

inline constexpr std::string_view probe_command_name = "probe-s3";

struct probe_arguments {
    bool help = false;
    bool json = false;
    std::string config_path;
    std::vector<std::string> volumes;           ///< UUIDs; none: those that this host would mount.
    std::optional<volumes::s3_options> bucket;  ///< Instead of a configuration.
    std::chrono::nanoseconds timeout = limits::cloud_probe_command_timeout;
};

/// `arguments` are those after the sub-command. \returns the text of a usage error.
[[nodiscard]] std::expected<probe_arguments, std::string> parse_probe_arguments(std::span<const std::string> arguments,
                                                                                std::string_view config_default);

/// Runs it to its end, within the timeout and limits::cloud_probe_cleanup. Prints to stdout, usage errors to stderr.
/// \returns the exit code: 0 all can be used, 1 some cannot, 2 wrong command line or configuration.
[[nodiscard]] int run_probe_command(std::string_view program, std::span<const std::string> arguments,
                                    const cluster_config::environment& env, std::istream& standard_input);

}  // namespace keepstore::daemon
