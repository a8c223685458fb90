#include "daemon/probe_command.hpp"

#include "base/cancellable.hpp"
#include "base/log.hpp"
#include "cluster_config/flag_syntax.hpp"
#include "cluster_config/scalars.hpp"
#include "daemon/flags.hpp"
#include "reports/probe_report.hpp"
#include "reports/probe_targets.hpp"
#include "s3/limits.hpp"
#include "volumes/s3/access.hpp"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <exception>

namespace keepstore::daemon {
namespace {

using outcome = s3::probe_line::outcome;

constexpr std::chrono::nanoseconds timeout_max = std::chrono::hours(1);

/// In the order of the help text.
constexpr std::array<cluster_config::flag, 8> probe_flags{{
    {"config", false,
     "cluster configuration file, - for standard input (default $ARVADOS_CONFIG, else /etc/arvados/config.yml)"},
    {"volume", false, "UUID of a volume to try; may be repeated (default: the S3 volumes that this host mounts)"},
    {"timeout", false, "give up after this long, e.g. 30s (default 1m)"},
    {"json", true, "print one JSON document instead of lines"},
    {"bucket", false,
     "try this bucket without a configuration. Keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, ~/.aws, a "
     "container or the instance's role"},
    {"endpoint", false, "with -bucket: URL of the service (default: Amazon S3 in -region)"},
    {"region", false, "with -bucket: its region (default us-east-1 if -endpoint is given)"},
    {"path-style", true, "with -bucket: the bucket in the path instead of the host name (UsePathStyle)"},
}};

std::string probe_usage(std::string_view program) {
    return fmt::format(
        "Usage: {0} {1} [-config FILE] [-volume UUID]...\n"
        "       {0} {1} -bucket NAME [-endpoint URL] [-region NAME] [-path-style]\n\n"
        "Tries S3 buckets step by step, as the daemon would use them, and says what is wrong and what to do. Writes a "
        "few\n"
        "small objects below keepstore-probe/ and removes them; volumes that are read only are only read.\n"
        "Exit code: 0 all can be used, 1 some cannot, 2 wrong command line or configuration.\n\n{2}",
        program, probe_command_name, cluster_config::describe_flags(probe_flags));
}

void print(std::FILE* to, std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), to);
    std::fflush(to);
}

/// Prints the lines of the volumes in their order, although they are tried at the same time: at once for the first that
/// has not ended, later for those after it.
class console {
  public:
    console(std::vector<reports::probe_outcome>& all, bool silent) : all_(all), silent_(silent) {
        if (!all_.empty()) begin();
    }

    void add(std::size_t volume, s3::probe_line line) {
        if (volume == current_) show(line);
        all_[volume].lines.push_back(std::move(line));
    }

    void end(std::size_t volume) {
        all_[volume].ended = true;
        while (current_ < all_.size() && all_[current_].ended) {
            if (++current_ < all_.size()) begin();
        }
    }

  private:
    void begin() {
        if (!silent_) print(stdout, reports::probe_heading(all_[current_].target));
        for (const auto& line : all_[current_].lines) show(line);
    }
    void show(const s3::probe_line& line) const {
        if (!silent_) print(stdout, "  " + s3::to_text(line) + "\n");
    }

    std::vector<reports::probe_outcome>& all_;
    const bool silent_;
    std::size_t current_ = 0;
};

awaitable<void> probe_one(console& out, std::size_t number, const reports::probe_target& target, deadline until) {
    for (const auto& note : target.notes) out.add(number, {outcome::note, "configuration", note});
    auto access = volumes::s3::make_access(target.options);
    if (!access) {
        out.add(number, {outcome::failed, "configuration", access.error().text});
        co_return;
    }
    const auto extent = target.writes ? s3::probe_extent::read_and_write : s3::probe_extent::read_only;
    const auto take = [&out, number](const s3::probe_line& line) { out.add(number, line); };
    static_cast<void>(
        co_await s3::probe_bucket(std::move(access->client), std::move(access->keys), extent, take, until));
}

/// \returns whether all came to an end in time.
bool probe_all(std::vector<reports::probe_outcome>& all, bool silent, std::chrono::nanoseconds timeout,
               asio::io_context& loop) {
    console out(all, silent);
    const auto until = deadline::in(timeout);
    for (std::size_t i = 0; i < all.size(); ++i) {
        spawn(loop.get_executor(), probe_one(out, i, all[i].target, until),
              [&out, i](const std::exception_ptr& thrown) {
                  if (thrown) out.add(i, {outcome::failed, "probe", "internal error"});
                  out.end(i);
              });
    }
    // Time for the clean-up, and a little more: a lookup at a silent name server cannot be cancelled.
    loop.run_until(until.at() + limits::cloud_probe_cleanup + std::chrono::seconds(1));
    bool whole = true;
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (all[i].ended) continue;
        whole = false;
        out.add(i, {outcome::failed, "time",
                    fmt::format("no end within {}: what comes after the last step does not answer (name servers?)",
                                cluster_config::format_duration(timeout))});
        out.end(i);
    }
    return whole;
}

std::expected<std::vector<reports::probe_target>, std::string> find_targets(const probe_arguments& given,
                                                                            const cluster_config::environment& env,
                                                                            std::istream& standard_input) {
    if (given.bucket) return std::vector{reports::probe_target_of_bucket(*given.bucket)};
    KS_TRY(const auto conf, cluster_config::load_config(given.config_path, env, standard_input));
    return reports::choose_probe_targets(conf, reports::services_of_this_host(conf.cluster, env), given.volumes);
}

}  // namespace

std::expected<probe_arguments, std::string> parse_probe_arguments(std::span<const std::string> arguments,
                                                                  std::string_view config_default) {
    probe_arguments out;
    std::optional<std::string> config_path;
    volumes::s3_options direct;
    bool is_direct = false;
    const auto set = [&](std::string_view name, std::string_view value) -> std::expected<void, std::string> {
        if (name == "json") {
            out.json = value == "true";
        } else if (name == "config") {
            config_path = value;
        } else if (name == "volume") {
            out.volumes.emplace_back(value);
        } else if (name == "timeout") {
            const auto parsed = cluster_config::parse_duration(value);
            if (!parsed || *parsed <= std::chrono::nanoseconds::zero() || *parsed > timeout_max)
                return std::unexpected("expected a duration such as 30s, at most 1h");
            out.timeout = *parsed;
        } else {
            is_direct = true;
            if (name == "bucket") direct.bucket = value;
            if (name == "endpoint") direct.endpoint = value;
            if (name == "region") direct.region = value;
            if (name == "path-style") direct.use_path_style = value == "true";
        }
        return {};
    };
    KS_TRY(const auto read, cluster_config::read_flags(probe_flags, arguments, set));
    out.help = read.help;
    if (out.help) return out;
    if (read.rest < arguments.size())
        return std::unexpected(fmt::format("unrecognized argument: {}", arguments[read.rest]));
    if (is_direct) {
        if (config_path || !out.volumes.empty())
            return std::unexpected("-bucket, -endpoint, -region and -path-style are instead of -config and -volume");
        if (direct.bucket.empty()) return std::unexpected("-bucket is missing");
        if (direct.endpoint.empty() && direct.region.empty())
            return std::unexpected("one of -endpoint and -region must be given");
        if (direct.region.empty()) direct.region = "us-east-1";
        out.bucket = std::move(direct);
    }
    out.config_path = config_path.value_or(std::string(config_default.empty() ? config_path_default : config_default));
    return out;
}

int run_probe_command(std::string_view program, std::span<const std::string> arguments,
                      const cluster_config::environment& env, std::istream& standard_input) {
    std::signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_DUMPABLE, 0);  // Core files would hold keys.
    // The steps say it all.
    log::configure({.threshold = log::level::fatal, .shape = log::format::text, .cluster_id = {}, .pid = false});

    const auto given = parse_probe_arguments(arguments, env.config_path);
    if (!given) {
        print(stderr, fmt::format("error parsing command line arguments: {} (try -help)\n", given.error()));
        return 2;
    }
    if (given->help) {
        print(stderr, probe_usage(program));
        return 0;
    }
    auto targets = find_targets(*given, env, standard_input);
    if (!targets) {
        if (given->json)
            print(stdout, reports::probe_json(targets.error()));
        else
            print(stderr, fmt::format("cannot probe: {}\n", targets.error()));
        return 2;
    }
    std::vector<reports::probe_outcome> all;
    for (auto& target : *targets) all.push_back({.target = std::move(target)});
    asio::io_context loop(1);
    const bool whole = probe_all(all, given->json, given->timeout, loop);
    print(stdout, given->json ? reports::probe_json(all) : reports::probe_summary(all));
    const int code = std::ranges::all_of(all, &reports::probe_outcome::good) ? 0 : 1;
    // A call that cannot be cancelled is still running; leaving main() would wait for it.
    if (!whole) std::_Exit(code);
    return code;
}

}  // namespace keepstore::daemon
