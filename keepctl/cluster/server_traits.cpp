#include "keepctl/cluster/server_traits.hpp"

#include "base/join.hpp"
#include "keepctl/cluster/metric_text.hpp"

#include <fmt/format.h>

#include <map>
#include <utility>

namespace keepstore::keepctl {

server_traits traits_of(std::string server, std::string_view metrics) {
    server_traits out{.server = std::move(server),
                      .version = metric_label(metrics, "arvados_version_running", "version")};
    if (const auto ttl = metric_value(metrics, "keepstore_blob_signing_ttl_seconds"); ttl && *ttl >= 0 && *ttl < 1e12)
        out.signing_ttl_seconds = static_cast<std::int64_t>(*ttl);
    return out;
}

std::vector<std::string> differences_of(std::span<const server_traits> servers) {
    using by_value = std::map<std::string, std::vector<std::string>>;
    by_value versions;
    by_value ttls;
    for (const auto& s : servers) {
        if (s.version) versions[*s.version].push_back(s.server);
        if (s.signing_ttl_seconds) ttls[fmt::format("{} s", *s.signing_ttl_seconds)].push_back(s.server);
    }
    std::vector<std::string> out;
    const auto say = [&](std::string_view what, const by_value& values) {
        if (values.size() < 2) return;
        std::vector<std::string> each;
        for (const auto& [value, names] : values) each.push_back(fmt::format("{} ({})", value, join(names, ", ")));
        out.push_back(fmt::format("{}: {}", what, join(each, ", ")));
    };
    say("servers of different versions", versions);
    say("servers with different BlobSigningTTL, for which a new copy is kept from the trash", ttls);
    return out;
}

}  // namespace keepstore::keepctl
