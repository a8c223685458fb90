/// A kind of volume, as a configuration names it: between the configuration file, which drivers do not know, and the
/// volume. Each driver has one in its folder (driver.hpp); volumes/factory.cpp lists them.
#pragma once

#include "cluster_config/config.hpp"
#include "cluster_config/reference_writer.hpp"
#include "cluster_config/schema.hpp"
#include "volumes/volume.hpp"

#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace keepstore::volumes {

/// The error is one line for the operator.
using opened_volume = std::expected<std::unique_ptr<volume>, std::string>;

/// What an operator should know of a volume before it is opened. Holds no secret.
struct volume_report {
    std::vector<std::pair<std::string, std::string>> lines = {};  ///< Name and text: "sync", "on: ...".
    std::vector<std::string> problems = {};  ///< Reasons for which it would not work, although it can be opened.
};

/// A volume that this service serves, with its parameters decoded and checked; not opened yet.
struct volume_plan {
    cluster_config::local_volume volume;
    /// Says whether open() would succeed, by the same checks and with the same error line, and changes nothing. Looks
    /// at the file system, so it may block.
    std::function<std::expected<void, std::string>()> check;
    /// Looks at the file system, so it may block. Whether a bucket can be used shows soon after, in the log and in
    /// readiness.
    std::function<opened_volume()> open;
    /// Looks at the file system, likewise.
    std::function<volume_report()> describe;
};

/// Makes the plan of a volume with these options. `problem` begins the error lines: "cannot use Bucket keep".
template <class Options>
[[nodiscard]] volume_plan make_plan(const cluster_config::local_volume& v, const Options& options, std::string problem,
                                    result<void> (*check)(const Options&),
                                    result<std::unique_ptr<volume>> (*open)(Options),
                                    volume_report (*describe)(const cluster_config::local_volume&, const Options&)) {
    const auto failed = [begin = "Volumes." + v.uuid + ": " + std::move(problem) + ": "](const error& why) {
        return std::unexpected(begin + why.text);
    };
    return {.volume = v,
            .check = [=]() -> std::expected<void, std::string> {
                if (const auto usable = check(options); !usable) return failed(usable.error());
                return {};
            },
            .open = [=]() -> opened_volume {
                auto opened = open(options);
                if (!opened) return failed(opened.error());
                return std::move(*opened);
            },
            .describe = [=] { return describe(v, options); }};
}

/// What a driver needs in addition to the volume's section.
struct plan_context {
    const cluster_config::collections_config& policy;  ///< S3 volumes judge by it what is in their trash.
    const cluster_config::schema_node& known;          ///< Parameters of all drivers: no warning about these.
    std::vector<std::string>& warnings;
};

/// One entry of the registry. Stateless.
struct driver {
    std::string_view name;
    /// Adds the names of the parameters.
    void (*declare)(cluster_config::schema_node& parameters);
    /// \returns the error line for wrong parameters.
    std::expected<volume_plan, std::string> (*plan)(cluster_config::local_volume, const plan_context&);
    /// Writes the parameters with defaults and comments (conf/keepstore.full.yml).
    void (*write_reference)(cluster_config::reference_writer&);
};

}  // namespace keepstore::volumes
