#include "volumes/azure/azure_volume.hpp"

#include "base/log.hpp"
#include "volumes/azure/access.hpp"
#include "volumes/azure/azure_core.hpp"
#include "volumes/cloud/cloud_volume.hpp"
#include "volumes/cloud/prober.hpp"

#include <utility>

namespace keepstore::volumes {
namespace {

using container_prober = cloud::prober<keepstore::azure::client>;

// What a volume is made of that can be refused.
struct azure_parts {
    std::shared_ptr<container_prober> prober;
    keepstore::azure::client client;
};

result<azure_parts> make_azure_parts(const azure_options& options) {
    KS_TRY(auto access, azure::make_access(options));
    auto of_probes = access;
    // A probe is a listing that does not wait for a service that is too busy: such a response tells enough.
    of_probes.client.list_attempts_max = cloud::probe_attempts;
    of_probes.client.list_retry_delay = limits::cloud_retry_throttled_base;
    KS_TRY(auto prober, container_prober::make(std::move(of_probes), options.writable));
    KS_TRY(auto client, keepstore::azure::client::make(std::move(access.client), std::move(access.keys)));
    return azure_parts{.prober = std::move(prober), .client = std::move(client)};
}

}  // namespace

result<void> check_azure_volume(const azure_options& options) {
    KS_CHECK(make_azure_parts(options));
    return success();
}

result<std::unique_ptr<volume>> open_azure_volume(azure_options options) {
    KS_TRY(const auto via, azure::proxy_of(options));
    if (!via.empty()) {
        log::info("Azure requests go through a proxy", {{"container", options.container}, {"proxy", via}});
    }
    KS_TRY(auto parts, make_azure_parts(options));
    const auto id = "azure://" + options.base_url + "/" + options.account + "/" + options.container;
    return std::make_unique<cloud::cloud_volume>(
        std::make_shared<azure::azure_core>(std::move(options), std::move(parts.client)),
        container_prober::probing_by(parts.prober), id);
}

}  // namespace keepstore::volumes
