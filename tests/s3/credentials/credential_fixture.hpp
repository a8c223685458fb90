/// Helpers for tests of credentials: the chain in an environment of its own, and responses of credential services.
#pragma once

#include "s3/credentials/credential_sources.hpp"
#include "tests/s3/bucket_fixture.hpp"
#include "tests/support/temp_dir.hpp"

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace keepstore::test {

using variables = std::map<std::string, std::string>;

inline const std::string far = "2999-01-01T00:00:00Z";

inline std::string json_keys(const std::string& id, const std::string& expiration = far) {
    return R"({"Code":"Success","AccessKeyId":")" + id + R"(","SecretAccessKey":"s","Token":"t","Expiration":")" +
           expiration + "\"}";
}

inline std::string sts_keys(const std::string& id, const std::string& expiration = far) {
    return "<R><X><Credentials><AccessKeyId>" + id +
           "</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>" + expiration +
           "</Expiration></Credentials></X></R>";
}

inline s3::environment environment_of(variables env) {
    return [env = std::move(env)](std::string_view name) -> std::optional<std::string> {
        const auto found = env.find(std::string(name));
        if (found == env.end() || found->second.empty()) return std::nullopt;
        return found->second;
    };
}

/// Without instance metadata unless given.
inline std::shared_ptr<s3::credentials_cache> chain(variables env, s3::credentials_config config = {}) {
    if (!env.contains("AWS_EC2_METADATA_SERVICE_ENDPOINT")) env["AWS_EC2_METADATA_DISABLED"] = "true";
    config.env = environment_of(std::move(env));
    return *s3::make_credentials(std::move(config));
}

inline result<s3::credentials> fetch(const std::shared_ptr<s3::credentials_cache>& cache) {
    return run(cache->get(soon()));
}
inline std::string key_of(const result<s3::credentials>& got) {
    return got ? got->keys.access_key_id : "error: " + got.error().text;
}

inline void write(const std::filesystem::path& path, const std::string& text) {
    std::ofstream(path, std::ios::trunc) << text;
}

/// Instance metadata, version 2: a session token first.
inline stub_reply metadata(const seen_request& r) {
    if (r.method == "PUT" && r.target == "/latest/api/token") {
        if (r.header("x-aws-ec2-metadata-token-ttl-seconds") != "21600") return {.status = 400};
        return {.body = "TOKEN=="};
    }
    if (r.header("x-aws-ec2-metadata-token") != "TOKEN==") return {.status = 401};
    if (r.target == "/latest/meta-data/iam/security-credentials/") return {.body = "keep-role\n"};
    if (r.target == "/latest/meta-data/iam/security-credentials/keep-role") return {.body = json_keys("IMDS")};
    return {.status = 404};
}

}  // namespace keepstore::test
