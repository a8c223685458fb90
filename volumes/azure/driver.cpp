#include "volumes/azure/driver.hpp"

#include "cluster_config/key.hpp"
#include "volumes/azure/access.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <utility>

namespace keepstore::volumes {
namespace {

using cluster_config::config_reader;
using cluster_config::key_table;
using std::chrono::nanoseconds;

/// The word for the only identity of the machine.
constexpr std::string_view default_identity = "default";

/// The options, and parameters that become some of them.
struct azure_section : azure_options {
    std::string managed_identity;
    std::int64_t max_get_bytes = 0;
};

const key_table<azure_section>& azure_keys() {
    using c = azure_section;
    using key = cluster_config::key_of<c>;
    static const key_table<c> table{
        key::text("StorageAccountName", &c::account, "required"),
        key::secret("StorageAccountKey", &c::account_key, "this, SharedAccessSignature or ManagedIdentity: required"),
        key::secret("SharedAccessSignature", &c::shared_access_signature, "sv=...&sig=..., of the container"),
        key::text("ManagedIdentity", &c::managed_identity, "default: the machine's only one; or a client id"),
        key::text("ContainerName", &c::container, "required"),
        key::text("StorageBaseURL", &c::base_url, "https://StorageAccountName.blob.StorageBaseURL is the service"),
        key::text("Endpoint", &c::endpoint, "default \"\": as above; else the service's URL, such as an emulator's"),
        key::duration("RequestTimeout", &c::request_timeout, {}, "longest silence of a request; 0 is the default"),
        key::duration("ListBlobsRetryDelay", &c::list_retry_delay, {},
                      "before a listing is tried again where the service is busy; 0 is the default"),
        key::count("ListBlobsMaxAttempts", &c::list_attempts_max, {.min = 0, .max = 1000}, "0 is the default"),
        key::count("MaxGetBytes", &c::max_get_bytes, {.min = 0}, "checked, no effect: blocks are streamed"),
        key::duration("WriteRaceInterval", &c::write_race_interval, {.min = nanoseconds(0)},
                      "a younger blob without content is one that is being written"),
        key::duration("WriteRacePollTime", &c::write_race_poll_time, {},
                      "how often a reader looks at such a blob; 0 is the default"),
    };
    return table;
}

void check_azure(const config_reader& in, azure_section& out) {
    if (out.account.empty()) in.fail("StorageAccountName", "missing; expected the name of the storage account");
    if (out.container.empty()) in.fail("ContainerName", "missing; expected the name of the container");
    const int identities = (out.account_key.empty() ? 0 : 1) + (out.shared_access_signature.empty() ? 0 : 1) +
                           (out.managed_identity.empty() ? 0 : 1);
    if (identities == 0) in.fail("StorageAccountKey", "missing; expected it, SharedAccessSignature or ManagedIdentity");
    if (identities > 1)
        in.fail(out.account_key.empty() ? "SharedAccessSignature" : "StorageAccountKey",
                "found together with another one; expected one of StorageAccountKey, SharedAccessSignature and "
                "ManagedIdentity");
    if (out.managed_identity != default_identity) out.identity_client_id = out.managed_identity;
    const azure_options defaults;
    if (out.base_url.empty()) out.base_url = defaults.base_url;
    if (out.request_timeout <= nanoseconds(0)) out.request_timeout = defaults.request_timeout;
    if (out.list_retry_delay <= nanoseconds(0)) out.list_retry_delay = defaults.list_retry_delay;
    if (out.list_attempts_max == 0) out.list_attempts_max = defaults.list_attempts_max;
    if (out.write_race_poll_time <= nanoseconds(0)) out.write_race_poll_time = defaults.write_race_poll_time;
}

std::string azure_probe_command(const std::string& uuid) {
    return "keepctl probe volume:" + uuid;
}

std::expected<azure_options, std::string> decode_azure(const cluster_config::local_volume& v,
                                                       const plan_context& context) {
    KS_TRY(auto options, cluster_config::decode_parameters<azure_section>(v.driver, azure_keys(), context.known,
                                                                          check_azure, context.warnings));
    options.writable = v.allow_write;
    options.diagnosis = azure_probe_command(v.uuid);
    return std::move(options);
}

volume_report describe_azure(const cluster_config::local_volume& v, const azure_options& options) {
    const auto at = options.endpoint.empty() ? options.base_url : options.endpoint;
    volume_report out{.lines = {{"driver", fmt::format("Azure container {} of account {} at {}", options.container,
                                                       options.account, at)}}};
    const auto via = azure::proxy_of(options);
    if (via && !via->empty()) out.lines.emplace_back("proxy", *via + ", of the environment");
    out.lines.emplace_back("try it with", azure_probe_command(v.uuid));
    return out;
}

std::expected<volume_plan, std::string> plan_azure(cluster_config::local_volume v, const plan_context& context) {
    KS_TRY(const azure_options options, decode_azure(v, context));
    if (const auto via = azure::proxy_of(options); !via)
        return std::unexpected(fmt::format("Volumes.{}: environment variable {}", v.uuid, via.error().text));
    return make_plan(v, options, "cannot use ContainerName " + options.container, check_azure_volume, open_azure_volume,
                     describe_azure);
}

void write_azure_reference(cluster_config::reference_writer& to) {
    azure_section example;
    example.account = "example";
    example.container = "example-keep";
    example.managed_identity = default_identity;
    write_keys(azure_keys(), to, example);
}

}  // namespace

constinit const driver azure_driver{
    .name = "Azure",
    .declare = [](cluster_config::schema_node& parameters) { declare_keys(azure_keys(), parameters); },
    .plan = plan_azure,
    .write_reference = write_azure_reference,
};

std::expected<azure_options, std::string> azure_options_of(const cluster_config::local_volume& v,
                                                           const cluster_config::collections_config& policy) {
    std::vector<std::string> ignored;
    return decode_azure(v, {.policy = policy, .known = {}, .warnings = ignored});
}

}  // namespace keepstore::volumes
