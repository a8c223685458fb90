#include "reports/config_reference.hpp"

#include "cluster_config/keys.hpp"
#include "volumes/factory.hpp"

#include <string_view>

namespace keepstore::reports {
namespace {

using namespace cluster_config;

constexpr std::string_view introduction =
    "Every key that keepstore honours. Values are the defaults unless a comment says \"example\".\n"
    "The file is an Arvados cluster configuration: other sections (Users, Login, ...) may be in it and are left to "
    "other "
    "services.\n"
    "Durations are written 500ms, 90s, 5m, 1h30m, 336h; sizes 16KiB, 1MB.\n"
    "In YAML 1.1 yes, no, on and off are booleans and 010 is eight: put texts that look like that in quotes.\n"
    "Written by `keepstore -config-reference` from the tables of keys in the source; change it there.";

volume_config example_volume(std::string driver, const url& host, std::string storage_class) {
    volume_config out;
    out.access_via_hosts[host] = false;
    out.storage_classes[std::move(storage_class)] = true;
    out.driver.driver = std::move(driver);
    return out;
}

/// Values where the default is empty: tokens, services, volumes.
cluster_settings example_cluster() {
    const url keep0 = parse_url("http://keep0.example:25107").value();
    const url keep1 = parse_url("http://keep1.example:25107").value();
    cluster_settings out;
    out.system_root_token = "exampleroottokenexampleroottokenexampleroottoken";
    out.management_token = "examplemanagementtokenexamplemanagementtoken";
    out.internal_urls[keep0] = {.listen_url = parse_url("http://127.0.0.1:25107").value(), .rendezvous = {}};
    out.internal_urls[keep1] = {};
    out.controller_url = parse_url("https://controller.example/").value();
    out.collections.blob_signing_key = "examplesigningkeyexamplesigningkeyexamplesigningkey";
    out.storage_classes = {{"archival", {.priority = 0, .is_default = false}},
                           {"default", {.priority = 10, .is_default = true}}};
    out.volumes["zzzzz-nyw5e-000000000000000"] = example_volume("Directory", keep0, "default");
    out.volumes["zzzzz-nyw5e-000000000000001"] = example_volume("S3", keep1, "archival");
    out.volumes["zzzzz-nyw5e-000000000000002"] = example_volume("Azure", keep1, "archival");
    out.remote_clusters["yyyyy"] = {.host = "controller.yyyyy.example"};
    return out;
}

}  // namespace

std::string config_reference() {
    reference_writer to(volumes::write_parameters);
    to.comment(introduction);
    to.begin("Clusters", "");
    to.begin("zzzzz", "Exactly one cluster; its id is five lower-case letters and digits.");
    write_keys(cluster_keys(), to, example_cluster());
    to.end();
    to.end();
    return to.take();
}

}  // namespace keepstore::reports
