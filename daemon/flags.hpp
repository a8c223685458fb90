/// The command line (docs/interface.md 1.3), in the syntax of cluster_config/flag_syntax.hpp. Prints and exits nothing.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::daemon {

/// Without -config and ARVADOS_CONFIG.
inline constexpr std::string_view config_path_default = "/etc/arvados/config.yml";

struct command_line {
    enum class action {
        serve,
        check,  ///< -check: report what this host would serve, and exit.
        leave,  ///< Print `output` and `errors`, exit with `exit_code`.
    };

    action todo = action::serve;
    int exit_code = 0;
    std::string output = {};  ///< For stdout.
    std::string errors = {};  ///< For stderr.

    std::string config_path = {};  ///< A file, or "-".
    bool skip_legacy = false;
    std::string legacy_keepstore_config = "/etc/arvados/keepstore/keepstore.yml";
    std::vector<std::string> warnings = {};  ///< Flags that are accepted and do nothing.
};

/// `arguments` are those after argv[0]. `config_default` is ARVADOS_CONFIG, or empty.
/// A usage error exits with 2 and must not be retried (RestartPreventExitStatus=2).
[[nodiscard]] command_line parse_command_line(std::string_view program, std::span<const std::string> arguments,
                                              std::string_view config_default);

/// "0.1.0 (C++ clang 19.1.7)": the version as -version prints it after the program's name, and the label of
/// arvados_version_running.
[[nodiscard]] std::string version_text();

/// A warning if an old keepstore.yml exists, which the Go daemon would read and this one does not; else empty.
[[nodiscard]] std::string legacy_file_warning(const command_line&);

}  // namespace keepstore::daemon
