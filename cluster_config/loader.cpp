#include "cluster_config/loader.hpp"

#include "base/error.hpp"
#include "base/hex.hpp"
#include "base/sha256.hpp"
#include "cluster_config/error.hpp"
#include "cluster_config/keys.hpp"
#include "cluster_config/limits.hpp"
#include "cluster_config/rules.hpp"
#include "cluster_config/scalars.hpp"

#include <fmt/format.h>

#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <istream>
#include <iterator>
#include <system_error>

namespace keepstore::cluster_config {
namespace {

config parse_or_throw(std::string_view text, std::string_view source, const environment& env,
                      const credential_folder& credentials) {
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
    out.secrets = apply_credentials(cluster, credentials, context);
    apply_environment(cluster, path, env, context);
    auto& root_token = out.secrets.front();
    if (root_token.origin.empty() && !env.api_token.empty())
        root_token.origin = "environment variable ARVADOS_API_TOKEN";
    const config_reader in(&cluster, path, context);
    out.cluster.id = id;
    decode_keys(cluster_keys(), in, out.cluster);
    apply_rules(in, out.cluster);
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

std::expected<config, std::string> parse_config(std::string_view text, std::string_view source, const environment& env,
                                                const credential_folder& credentials) {
    try {
        return parse_or_throw(text, source, env, credentials);
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
    KS_TRY(const auto credentials, credential_folder::open(env.credentials_folder));
    auto parsed = parse_config(*text, path, env, credentials);
    if (parsed) parsed->timestamp = timestamp;
    return parsed;
}

}  // namespace keepstore::cluster_config
