#include "cluster_config/credentials.hpp"

#include "base/unique_fd.hpp"
#include "cluster_config/error.hpp"
#include "cluster_config/limits.hpp"
#include "cluster_config/scalars.hpp"
#include "cluster_config/schema.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

namespace keepstore::cluster_config {
namespace {

/// A credential for a key of the cluster.
struct named_secret {
    std::string_view file;
    std::string_view section;  ///< Empty: the cluster's own keys.
    std::string_view key;
    bool is_file = false;  ///< The key is the path of a file.
    credential_folder::readers allowed = credential_folder::readers::owner;
};
constexpr std::array secrets{
    named_secret{"SystemRootToken", "", "SystemRootToken"}, named_secret{"ManagementToken", "", "ManagementToken"},
    named_secret{"BlobSigningKey", "Collections", "BlobSigningKey"},
    named_secret{"TLS.Certificate", "TLS", "Certificate", true, credential_folder::readers::everyone},
    named_secret{"TLS.Key", "TLS", "Key", true}};

[[noreturn]] void refuse(const std::string& file, std::string_view text) {
    throw config_error(fmt::format("credential {}: {}", file, text));
}

/// Whether the map has this key with a value.
bool is_set(const config_value* map, std::string_view key) {
    const config_value* const value = map ? map->find(key) : nullptr;
    return value && !(value->type == config_value::kind::text && value->text.empty());
}

config_value* volume_named(config_value& cluster, std::string_view uuid) {
    const auto volumes = cluster.entries.find("Volumes");
    if (volumes == cluster.entries.end()) return nullptr;
    const auto found = volumes->second.entries.find(uuid);
    return found == volumes->second.entries.end() || !found->second.is_map() ? nullptr : &found->second;
}

/// Takes the file for a key that is not set. \returns whether it did.
bool fill(config_value& map, std::string_view key, const std::string& path, std::string value,
          config_context& context) {
    if (is_set(&map, key)) {
        context.warnings.push_back(
            fmt::format("credential {} is present, but will not be used: the configuration has {}", path, key));
        return false;
    }
    map.entries.insert_or_assign(std::string(key), make_text(std::move(value)));
    return true;
}

secret_origin fill_named(const named_secret& secret, config_value& cluster, const credential_folder& folder,
                         config_context& context) {
    secret_origin out{.key = fmt::format("{}{}{}", secret.section, secret.section.empty() ? "" : ".", secret.key)};
    if (std::ranges::binary_search(folder.names(), secret.file)) {
        std::string value = secret.is_file ? folder.read(secret.file, secret.allowed) : folder.read_line(secret.file);
        const std::string file = folder.path_of(secret.file);
        if (secret.is_file) {
            value = file;
        } else if (value.empty() || !std::ranges::all_of(value, is_alphanumeric)) {
            refuse(file, fmt::format("found other characters than letters and digits; expected only these, as in {}",
                                     out.key));
        }
        config_value& map = secret.section.empty() ? cluster : cluster.make_map(secret.section);
        if (fill(map, secret.key, file, std::move(value), context)) {
            out.origin = "credential " + file;
            return out;
        }
    }
    const config_value* const map = secret.section.empty() ? &cluster : cluster.find(secret.section);
    out.origin = is_set(map, secret.key) ? "configuration" : "";
    return out;
}

}  // namespace

std::expected<credential_folder, std::string> credential_folder::open(const std::string& path) {
    credential_folder out;
    if (path.empty()) return out;
    out.path_ = path;
    std::error_code failure;
    for (std::filesystem::directory_iterator entry(path, failure), end; !failure && entry != end;
         entry.increment(failure)) {
        // Kubernetes keeps the versions of a mounted secret in hidden folders.
        if (auto name = entry->path().filename().string(); !name.starts_with('.'))
            out.names_.push_back(std::move(name));
    }
    if (failure)
        return std::unexpected(
            fmt::format("environment variable CREDENTIALS_DIRECTORY: {}: {}; expected the folder that systemd makes "
                        "from LoadCredential=, readable by this user",
                        path, failure.message()));
    std::ranges::sort(out.names_);
    return out;
}

std::string credential_folder::path_of(std::string_view name) const {
    return fmt::format("{}/{}", path_, name);
}

std::string credential_folder::read(std::string_view name, readers allowed) const {
    const std::string path = path_of(name);
    // A FIFO must not hold up the start.
    const unique_fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat status{};
    if (!file || ::fstat(file.get(), &status) != 0)
        refuse(path, fmt::format("{}; make it readable by the user of the daemon: with LoadCredential= systemd does",
                                 std::generic_category().message(errno)));
    if (!S_ISREG(status.st_mode)) refuse(path, "not a file; expected a file that contains the secret");
    if (allowed == readers::owner && (status.st_mode & S_IROTH))
        refuse(path, fmt::format("every user can read it (mode {:o}); run chmod 600 on it, and replace the secret if "
                                 "others may have seen it",
                                 status.st_mode & 07777));
    std::string text(limits::credential_bytes_max + 1, '\0');
    std::size_t size = 0;
    while (size < text.size()) {
        const auto n = ::read(file.get(), text.data() + size, text.size() - size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) refuse(path, std::generic_category().message(errno));
        if (n == 0) break;
        size += static_cast<std::size_t>(n);
    }
    text.resize(size);
    if (size > limits::credential_bytes_max)
        refuse(path, fmt::format("larger than {}; expected the secret and nothing else",
                                 format_bytes(limits::credential_bytes_max)));
    if (text.ends_with('\n')) text.pop_back();
    if (text.ends_with('\r')) text.pop_back();
    if (text.empty()) refuse(path, "empty; write the secret into it, or remove the file");
    return text;
}

std::string credential_folder::read_line(std::string_view name) const {
    std::string text = read(name);
    if (text.find('\n') != std::string::npos)
        refuse(path_of(name), "more than one line; expected the secret on one line and nothing else");
    if (std::ranges::any_of(text, [](unsigned char c) { return c <= ' ' || c == 0x7f; }))
        refuse(path_of(name), "has spaces or control characters; expected the secret and nothing else");
    return text;
}

std::vector<secret_origin> apply_credentials(config_value& cluster, const credential_folder& folder,
                                             config_context& context) {
    std::vector<secret_origin> out;
    for (const auto& secret : secrets) out.push_back(fill_named(secret, cluster, folder, context));
    for (const auto& name : folder.names()) {
        if (std::ranges::find(secrets, name, &named_secret::file) != secrets.end()) continue;
        config_value* const volume = volume_named(cluster, name.substr(0, name.find('.')));
        const std::string_view key = std::string_view(name).substr(std::min(name.size(), name.find('.') + 1));
        if (!volume || key.empty() || name.find('.') == std::string::npos) {
            context.warnings.push_back(fmt::format(
                "credential {} is present, but will not be used: no key has this name; expected SystemRootToken, "
                "ManagementToken, BlobSigningKey, TLS.Certificate, TLS.Key, or VOLUME.KEY such as "
                "zzzzz-nyw5e-000000000000000.SecretAccessKey",
                folder.path_of(name)));
            continue;
        }
        const std::string file = folder.path_of(name);
        if (fill(volume->make_map("DriverParameters"), key, file, folder.read_line(name), context))
            out.push_back({.key = "Volumes." + name, .origin = "credential " + file});
    }
    const config_value* const volumes = cluster.find("Volumes");
    if (!volumes) return out;
    for (const auto& [uuid, volume] : volumes->entries) {
        const config_value* const parameters = volume.find("DriverParameters");
        if (!parameters) continue;
        for (const auto& [key, value] : parameters->entries) {
            const std::string name = fmt::format("Volumes.{}.{}", uuid, key);
            if (names_a_secret(name) && is_set(parameters, key) &&
                std::ranges::find(out, name, &secret_origin::key) == out.end())
                out.push_back({.key = name, .origin = "configuration"});
        }
    }
    return out;
}

}  // namespace keepstore::cluster_config
