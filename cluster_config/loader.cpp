#include "cluster_config/loader.hpp"

#include "base/hex.hpp"
#include "base/limits.hpp"
#include "base/sha256.hpp"
#include "cluster_config/decode.hpp"
#include "cluster_config/error.hpp"
#include "cluster_config/scalars.hpp"

#include <fmt/format.h>

#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <istream>
#include <iterator>
#include <system_error>

namespace keepstore::cluster_config {
namespace {

/// What old set-ups keep in the environment instead of the file (docs/interface.md 1.3). Changes the tree
/// before it is decoded, so that the same rules hold for both.
void apply_environment(config_value& cluster, const std::string& path, const environment& env,
                       config_context& context) {
    const auto text_at = [](const config_value* value) {
        return value && value->type == config_value::kind::text ? std::string_view(value->text) : std::string_view();
    };
    const auto make_text = [](std::string text) {
        config_value value;
        value.type = config_value::kind::text;
        value.text = std::move(text);
        return value;
    };
    const auto make_map = [](config_value& parent, const char* key) -> config_value& {
        config_value& map = parent.entries[key];
        map.type = config_value::kind::map;
        return map;
    };
    if (!env.api_token.empty()) {
        const auto configured = text_at(cluster.find("SystemRootToken"));
        if (configured.empty()) {
            context.warnings.push_back(path +
                                       ".SystemRootToken: missing, falling back to the environment "
                                       "variable ARVADOS_API_TOKEN");
            cluster.entries.insert_or_assign("SystemRootToken", make_text(env.api_token));
        } else if (configured != env.api_token) {
            context.warnings.push_back(
                "environment variable ARVADOS_API_TOKEN is present, but will not be used: the "
                "configuration has a SystemRootToken");
        }
    }
    if (!env.api_host.empty()) {
        const config_value* services = cluster.find("Services");
        const config_value* controller = services ? services->find("Controller") : nullptr;
        const auto configured = text_at(controller ? controller->find("ExternalURL") : nullptr);
        const std::string from_environment = "https://" + env.api_host + "/";
        if (configured.empty()) {
            context.warnings.push_back(path +
                                       ".Services.Controller.ExternalURL: missing, falling back to the environment "
                                       "variables ARVADOS_API_HOST and ARVADOS_API_HOST_INSECURE");
            if (!parse_url(from_environment))
                throw config_error(
                    "environment variable ARVADOS_API_HOST: found something that is no host name; "
                    "expected "
                    "one such as controller.example:443");
            make_map(make_map(cluster, "Services"), "Controller")
                .entries.insert_or_assign("ExternalURL", make_text(from_environment));
            if (!env.api_host_insecure.empty()) {
                config_value insecure;
                insecure.type = config_value::kind::boolean;
                insecure.boolean = true;
                make_map(cluster, "TLS").entries.insert_or_assign("Insecure", insecure);
            }
        } else if (const auto parsed = parse_url(configured); !parsed || parsed->host != env.api_host) {
            context.warnings.push_back(
                "environment variable ARVADOS_API_HOST is present, but will not be used: the "
                "configuration has Services.Controller.ExternalURL");
        }
    }
}

config parse_or_throw(std::string_view text, std::string_view source, const environment& env) {
    config out;
    out.source = source;
    config_context context{source == "-" ? std::string("standard input") : std::string(source), out.warnings};
    if (text.size() > limits::config_file_bytes_max)
        context.fail_text("", 0,
                          fmt::format("larger than {}; expected a cluster configuration",
                                      format_bytes(limits::config_file_bytes_max)));
    out.sha256 = to_hex(sha256(text));

    config_value root;
    try {
        root = parse_config_text(text);
    } catch (const config_error& e) {
        context.fail_text("", 0, e.what());
    }
    constexpr std::string_view no_clusters =
        "config does not define any clusters; expected a map Clusters with one five-character "
        "cluster id "
        "(old keepstore.yml files are not supported)";
    if (root.type == config_value::kind::null) context.fail_text("", 0, no_clusters);
    if (!root.is_map()) context.fail("", root, "a map with the key Clusters");
    for (const auto& [key, value] : root.entries)
        if (key != "Clusters")
            out.warnings.push_back("deprecated or unknown config entry: " + key +
                                   (key == "clusters" ? " (perhaps you meant Clusters?)" : ""));
    const auto found = root.entries.find("Clusters");
    if (found == root.entries.end() || found->second.type == config_value::kind::null)
        context.fail_text("", 0, no_clusters);
    config_value& clusters = found->second;
    if (!clusters.is_map()) context.fail("Clusters", clusters, "a map with one five-character cluster id");
    std::erase_if(clusters.entries, [](const auto& c) { return c.second.type == config_value::kind::null; });
    if (clusters.entries.empty()) context.fail_text("Clusters", clusters.line, no_clusters);
    for (const auto& [id, cluster] : clusters.entries)
        if (!is_cluster_id(id))
            context.fail_text("Clusters", cluster.line,
                              fmt::format("found the cluster id \"{}\"; expected five lower-case "
                                          "letters and digits",
                                          id));
    if (clusters.entries.size() > 1)
        context.fail_text("Clusters", clusters.line,
                          fmt::format("multiple clusters configured, cannot choose: found {}; expected one",
                                      clusters.entries.size()));

    auto& [id, cluster] = *clusters.entries.begin();
    const std::string path = "Clusters." + id;
    apply_schema(cluster_schema(), cluster, path, context);
    apply_environment(cluster, path, env, context);
    out.cluster = decode_cluster(cluster, id, context);
    warn_about_sanity(cluster, out.cluster, context);
    return out;
}

std::expected<std::string, std::string> read_all(std::istream& in, const std::string& name) {
    std::string text;
    std::array<char, 65536> block;
    // One byte past the limit is enough for parse_config to refuse the rest.
    while (text.size() <= limits::config_file_bytes_max && (in.read(block.data(), block.size()), in.gcount() > 0))
        text.append(block.data(), static_cast<std::size_t>(in.gcount()));
    if (in.bad()) return std::unexpected(fmt::format("{}: cannot be read", name));
    return text;
}

}  // namespace

environment environment::of_process() {
    const auto get = [](const char* name) {
        const char* value = std::getenv(name);
        return std::string(value ? value : "");
    };
    return {.config_path = get("ARVADOS_CONFIG"),
            .service_internal_url = get("ARVADOS_SERVICE_INTERNAL_URL"),
            .api_token = get("ARVADOS_API_TOKEN"),
            .api_host = get("ARVADOS_API_HOST"),
            .api_host_insecure = get("ARVADOS_API_HOST_INSECURE")};
}

std::expected<config, std::string> parse_config(std::string_view text, std::string_view source,
                                                const environment& env) {
    try {
        return parse_or_throw(text, source, env);
    } catch (const config_error& e) {
        return std::unexpected(e.what());
    }
}

std::expected<config, std::string> load_config(const std::string& path, const environment& env,
                                               std::istream& standard_input) {
    std::expected<std::string, std::string> text;
    auto timestamp = std::chrono::system_clock::now();
    if (path == "-") {
        text = read_all(standard_input, "standard input");
    } else {
        struct stat status{};
        if (::stat(path.c_str(), &status) != 0)
            return std::unexpected(
                fmt::format("{}: {}; expected the cluster's config.yml", path, std::generic_category().message(errno)));
        if (S_ISDIR(status.st_mode))
            return std::unexpected(fmt::format("{}: is a directory; expected the cluster's config.yml", path));
        std::ifstream file(path, std::ios::binary);
        if (!file)
            return std::unexpected(
                fmt::format("{}: cannot be opened: {}", path, std::generic_category().message(errno)));
        text = read_all(file, path);
        timestamp =
            std::chrono::system_clock::time_point(std::chrono::duration_cast<std::chrono::system_clock::duration>(
                std::chrono::seconds(status.st_mtim.tv_sec) + nanoseconds(status.st_mtim.tv_nsec)));
    }
    if (!text) return std::unexpected(text.error());
    auto parsed = parse_config(*text, path, env);
    if (parsed) parsed->timestamp = timestamp;
    return parsed;
}

std::expected<std::vector<local_volume>, std::string> select_volumes(const cluster_settings& cluster,
                                                                     const url& service_url) {
    if (cluster.volumes.empty()) return std::unexpected("no volumes configured");
    std::vector<local_volume> out;
    for (const auto& [uuid, volume] : cluster.volumes) {
        bool host_read_only = false;
        if (!volume.access_via_hosts.empty()) {
            const auto access = volume.access_via_hosts.find(service_url);
            if (access == volume.access_via_hosts.end()) continue;
            host_read_only = access->second;
        }
        local_volume local;
        local.uuid = uuid;
        local.allow_write = !host_read_only && !volume.read_only;
        local.allow_trash = !host_read_only && (!volume.read_only || volume.allow_trash_when_read_only);
        local.replication = volume.replication;
        local.storage_classes = volume.storage_classes;
        for (const auto& [name, value] : volume.storage_classes)
            if (const auto found = cluster.storage_classes.find(name); value && found != cluster.storage_classes.end())
                local.priority = std::max(local.priority, found->second.priority);
        if (const auto* problem = std::get_if<driver_problem>(&volume.parameters))
            return std::unexpected(problem->text);
        if (const auto* directory = std::get_if<directory_parameters>(&volume.parameters))
            local.parameters = *directory;
        else
            local.parameters = std::get<s3_parameters>(volume.parameters);
        out.push_back(std::move(local));
    }
    if (out.empty()) return std::unexpected(fmt::format("no volumes configured for {}", service_url.to_string()));
    return out;
}

}  // namespace keepstore::cluster_config
