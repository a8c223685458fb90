/// Arbitrary bytes as a configuration: values within their bounds, or an error with a text.
#include "cluster_config/loader.hpp"
#include "volumes/factory.hpp"

#include <algorithm>
#include <cstdlib>
#include <string_view>

using namespace keepstore;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto loaded = cluster_config::parse_config(text);
    if (!loaded) {
        if (loaded.error().empty()) std::abort();
        return 0;
    }
    const auto& cluster = loaded->cluster;
    if (cluster.id.size() != 5 || cluster.api.blob_buffers_max < 1) std::abort();
    if (cluster.collections.blob_signing && cluster.collections.blob_signing_key.empty()) std::abort();
    if (std::ranges::any_of(loaded->warnings, [](const auto& line) { return line.empty(); })) std::abort();
    const cluster_config::url service =
        cluster.internal_urls.empty() ? cluster_config::url() : cluster.internal_urls.begin()->first;
    const auto planned = volumes::plan_volumes(cluster, service);
    if (planned ? planned->empty() : planned.error().empty()) std::abort();
    if (std::ranges::any_of(volumes::parameter_warnings(cluster), [](const auto& line) { return line.empty(); }))
        std::abort();
    return 0;
}
