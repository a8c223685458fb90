#include "volumes/factory.hpp"

#include "base/join.hpp"
#include "volumes/azure/driver.hpp"
#include "volumes/directory/driver.hpp"
#include "volumes/s3/driver.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace keepstore::volumes {
namespace {

constexpr std::array drivers{&directory_driver, &s3_driver, &azure_driver};

/// The parameters of all drivers, of any type: as for the Go daemon, those of another driver cause no warning.
const cluster_config::schema_node& known_parameters() {
    static const cluster_config::schema_node all = [] {
        cluster_config::schema_node out;
        for (const driver* d : drivers) d->declare(out);
        for (auto& [name, parameter] : out.named) parameter.type = 'x';
        return out;
    }();
    return all;
}

const driver* find_driver(std::string_view name) {
    const auto found = std::ranges::find(drivers, name, &driver::name);
    return found == drivers.end() ? nullptr : *found;
}

std::string unknown_driver(const cluster_config::driver_section& section) {
    std::array<std::string_view, drivers.size()> names;
    std::ranges::transform(drivers, names.begin(), &driver::name);
    return fmt::format("{}: {}.Driver: found \"{}\" (no such driver); expected {}", section.file, section.volume_path,
                       section.driver, join(names, " or "));
}

std::expected<volume_plan, std::string> plan_volume(cluster_config::local_volume v,
                                                    const cluster_config::collections_config& policy,
                                                    std::vector<std::string>& warnings) {
    const driver* const found = find_driver(v.driver.driver);
    if (!found) return std::unexpected(unknown_driver(v.driver));
    return found->plan(std::move(v), {.policy = policy, .known = known_parameters(), .warnings = warnings});
}

}  // namespace

std::expected<std::vector<volume_plan>, std::string> plan_volumes(const cluster_config::cluster_settings& cluster,
                                                                  const cluster_config::url& service_url) {
    KS_TRY(auto selected, cluster_config::select_volumes(cluster, service_url));
    std::vector<std::string> known_already;  // Of parameter_warnings().
    std::vector<volume_plan> out;
    for (auto& v : selected) {
        KS_TRY(auto plan, plan_volume(std::move(v), cluster.collections, known_already));
        out.push_back(std::move(plan));
    }
    return out;
}

std::expected<volume_plan, std::string> plan_volume(const cluster_config::cluster_settings& cluster,
                                                    const std::string& uuid, bool writes) {
    const auto found = cluster.volumes.find(uuid);
    if (found == cluster.volumes.end())
        return std::unexpected(fmt::format("Volumes.{}: the configuration has no such volume", uuid));
    std::vector<std::string> known_already;  // Of parameter_warnings().
    return plan_volume({.uuid = uuid, .allow_write = writes, .driver = found->second.driver}, cluster.collections,
                       known_already);
}

std::vector<std::string> parameter_warnings(const cluster_config::cluster_settings& cluster) {
    std::vector<std::string> out;
    for (const auto& [uuid, v] : cluster.volumes) {
        if (find_driver(v.driver.driver)) {
            // Errors matter only on hosts that serve the volume.
            static_cast<void>(plan_volume({.uuid = uuid, .driver = v.driver}, cluster.collections, out));
        } else {
            cluster_config::config_context context{v.driver.file, out};
            auto parameters = v.driver.parameters;
            apply_schema(known_parameters(), parameters, v.driver.volume_path + ".DriverParameters", context);
        }
    }
    return out;
}

void write_parameters(cluster_config::reference_writer& to, const cluster_config::driver_section& section) {
    const driver* const found = find_driver(section.driver);
    if (!found) return;
    const bool brief = to.brief();
    to.set_brief(false);
    to.begin("DriverParameters", "");
    found->write_reference(to);
    to.end();
    to.set_brief(brief);
}

}  // namespace keepstore::volumes
