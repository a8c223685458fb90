#include "cluster_config/environment.hpp"

#include "cluster_config/error.hpp"
#include "cluster_config/schema.hpp"
#include "cluster_config/url.hpp"

#include <unistd.h>

#include <cstdlib>
#include <string_view>
#include <utility>

namespace keepstore::cluster_config {

environment environment::of_process() {
    const auto get = [](const char* name) {
        const char* value = std::getenv(name);
        return std::string(value ? value : "");
    };
    return {.config_path = get("ARVADOS_CONFIG"),
            .service_internal_url = get("ARVADOS_SERVICE_INTERNAL_URL"),
            .api_token = get("ARVADOS_API_TOKEN"),
            .api_host = get("ARVADOS_API_HOST"),
            .api_host_insecure = get("ARVADOS_API_HOST_INSECURE"),
            .credentials_folder = get("CREDENTIALS_DIRECTORY")};
}

void apply_environment(config_value& cluster, const std::string& path, const environment& env,
                       config_context& context) {
    using kind = config_value::kind;
    const auto text_at = [](const config_value* value) {
        return value && value->type == kind::text ? std::string_view(value->text) : std::string_view();
    };
    if (!env.api_token.empty()) {
        const auto configured = text_at(cluster.find("SystemRootToken"));
        if (configured.empty()) {
            context.warnings.push_back(
                path + ".SystemRootToken: missing, falling back to the environment variable ARVADOS_API_TOKEN");
            cluster.entries.insert_or_assign("SystemRootToken", make_text(env.api_token));
        } else if (configured != env.api_token) {
            context.warnings.push_back(
                "environment variable ARVADOS_API_TOKEN is present, but will not be used: the "
                "configuration or a credential has a SystemRootToken");
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
                    "environment variable ARVADOS_API_HOST: found something that is no host name; expected one such as "
                    "controller.example:443");
            cluster.make_map("Services")
                .make_map("Controller")
                .entries.insert_or_assign("ExternalURL", make_text(from_environment));
            if (!env.api_host_insecure.empty()) {
                config_value insecure;
                insecure.type = kind::boolean;
                insecure.boolean = true;
                cluster.make_map("TLS").entries.insert_or_assign("Insecure", insecure);
            }
        } else if (const auto parsed = parse_url(configured); !parsed || parsed->host != env.api_host) {
            context.warnings.push_back(
                "environment variable ARVADOS_API_HOST is present, but will not be used: the "
                "configuration has Services.Controller.ExternalURL");
        }
    }
}

void trust_arvados_authorities() {
    constexpr const char* file = "/etc/arvados/ca-certificates.crt";
    const char* const given = std::getenv("SSL_CERT_FILE");
    if ((!given || !*given) && ::access(file, R_OK) == 0) ::setenv("SSL_CERT_FILE", file, 1);
}

}  // namespace keepstore::cluster_config
