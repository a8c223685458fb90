// What each server of a configuration would serve: the volumes as the daemon plans them, without a look at disks, ports
// or buckets, so that it can be run on any host.

#include "keepctl/commands/commands.hpp"
#include "volumes/factory.hpp"

#include <fmt/format.h>

#include <utility>

namespace keepstore::keepctl {

outcome<exit_code> run_check_config(session& s) {
    auto& out = s.out();
    if (!s.config()) return refuse(exit_code::usage, "there is no configuration to check: give one with --config");
    const auto& cluster = s.config()->cluster;
    std::int64_t problems = 0;
    std::vector<std::string> warnings = s.config()->warnings;
    for (auto& warning : volumes::parameter_warnings(cluster)) warnings.push_back(std::move(warning));
    if (cluster.internal_urls.empty()) {
        out.error("Services.Keepstore.InternalURLs: no server is configured", exit_code::usage);
        ++problems;
    }
    for (const auto& [url, instance] : cluster.internal_urls) {
        const auto plans = volumes::plan_volumes(cluster, url);
        if (!plans) {
            out.error(fmt::format("{}: {}", url.to_string(), plans.error()), exit_code::usage);
            ++problems;
            continue;
        }
        for (const auto& plan : *plans) {
            const auto& v = plan.volume;
            std::vector<std::string> classes;
            for (const auto& [name, yes] : v.storage_classes) {
                if (yes) classes.push_back(name);
            }
            out.add("volume", {{"server", url.to_string()},
                               {"volume", v.uuid},
                               {"driver", v.driver.driver},
                               {"classes", std::move(classes)},
                               {"replication", v.replication},
                               {"writes", v.allow_write},
                               {"trash", v.allow_trash}});
        }
    }
    out.flush();
    for (const auto& warning : warnings) out.warn(warning);
    return out.end(problems > 0 ? exit_code::usage : exit_code::done,
                   {{"problems", problems}, {"warnings", warnings.size()}});
}

}  // namespace keepstore::keepctl
