#include "daemon/flags.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>

namespace keepstore::daemon {
namespace {

constexpr std::string_view config_path_default = "/etc/arvados/config.yml";

struct flag {
    std::string_view name;
    bool boolean;
    std::string_view help;
};

/// In the order of the help text.
constexpr std::array<flag, 11> flags{{
    {"check", true,
     "say what this host would serve and what is wrong, then exit (0: fine, 1: not)"},
    {"config", false,
     "cluster configuration file, - for standard input (default $ARVADOS_CONFIG, else "
     "/etc/arvados/config.yml)"},
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

std::optional<bool> parse_bool(std::string_view text) {
    for (const auto word : {"1", "t", "T", "true", "TRUE", "True"})
        if (text == word) return true;
    for (const auto word : {"0", "f", "F", "false", "FALSE", "False"})
        if (text == word) return false;
    return std::nullopt;
}

std::string usage(std::string_view program) {
    std::string out = fmt::format("Usage: {} [options]\n\nOptions:\n", program);
    for (const auto& f : flags)
        out += fmt::format("  -{}{}\n    \t{}\n", f.name, f.boolean ? "" : " value", f.help);
    return out;
}

command_line leave(int code, std::string output, std::string errors) {
    command_line out;
    out.todo = command_line::action::leave;
    out.exit_code = code;
    out.output = std::move(output);
    out.errors = std::move(errors);
    return out;
}

command_line usage_error(std::string_view text) {
    return leave(2, {},
                 fmt::format("error parsing command line arguments: {} (try -help)\n", text));
}

}  // namespace

std::string version_text() {
#if defined(__clang__)
    return fmt::format("{} (C++ clang {}.{}.{})", KEEPSTORE_VERSION, __clang_major__,
                       __clang_minor__, __clang_patchlevel__);
#else
    return fmt::format("{} (C++ gcc {})", KEEPSTORE_VERSION, __VERSION__);
#endif
}

command_line parse_command_line(std::string_view program, std::span<const std::string> arguments,
                                std::string_view config_default) {
    command_line out;
    out.config_path = config_default.empty() ? config_path_default : config_default;
    bool version = false;

    std::size_t at = 0;
    for (; at < arguments.size(); ++at) {
        const std::string& argument = arguments[at];
        if (argument.size() < 2 || argument[0] != '-') break;
        if (argument == "--") {
            ++at;
            break;
        }
        std::string_view name = std::string_view(argument).substr(argument[1] == '-' ? 2 : 1);
        if (name.empty() || name[0] == '-' || name[0] == '=')
            return usage_error(fmt::format("bad flag syntax: {}", argument));
        std::optional<std::string> value;
        if (const auto equals = name.find('='); equals != std::string_view::npos) {
            value = name.substr(equals + 1);
            name = name.substr(0, equals);
        }
        const auto known = std::ranges::find(flags, name, &flag::name);
        if (known == flags.end()) {
            if (name == "help" || name == "h") return leave(0, {}, usage(program));
            return usage_error(fmt::format("flag provided but not defined: -{}", name));
        }
        if (known->boolean) {
            const auto parsed = value ? parse_bool(*value) : true;
            if (!parsed)
                return usage_error(
                    fmt::format("invalid boolean value \"{}\" for -{}: parse error", *value, name));
            if (name == "version") version = *parsed;
            if (name == "skip-legacy") out.skip_legacy = *parsed;
            if (name == "check")
                out.todo = *parsed ? command_line::action::check : command_line::action::serve;
            continue;
        }
        if (!value) {
            if (++at == arguments.size())
                return usage_error(fmt::format("flag needs an argument: -{}", name));
            value = arguments[at];
        }
        if (name == "config") {
            out.config_path = *value;
            continue;
        }
        if (name == "pprof") out.pprof = *value;
        if (name == "legacy-keepstore-config") out.legacy_keepstore_config = *value;
        if (!value->empty())
            out.warnings.push_back(fmt::format("flag -{} has no effect in this program", name));
    }
    if (at < arguments.size()) {
        const std::span<const std::string> rest = arguments.subspan(at);
        return leave(2, {},
                     fmt::format("unrecognized command line arguments: [{}] (try -help)\n",
                                 fmt::join(rest, " ")));
    }
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
