#include "volumes/s3/access.hpp"

#include "s3/bucket_address.hpp"
#include "s3/credentials/credential_sources.hpp"
#include "volumes/limits.hpp"

#include <utility>

namespace keepstore::volumes::s3 {

result<bucket_access> make_access(const s3_options& options) {
    keepstore::s3::credentials_config keys;
    keys.access_key_id = options.access_key_id;
    keys.secret_access_key = options.secret_access_key;
    keys.keys_origin = options.keys_origin;
    keys.region = options.region;
    KS_TRY(auto proxies, net::proxy_rules::from_environment(options.env));
    const auto ca_file = options.ca_file.empty() ? options.env("AWS_CA_BUNDLE").value_or("") : options.ca_file;
    keys.ca_file = ca_file;
    keys.proxies = proxies;
    keys.env = options.env;
    KS_TRY(auto credentials, keepstore::s3::make_credentials(std::move(keys)));
    bucket_access out;
    out.keys = std::move(credentials);
    out.client.endpoint = options.endpoint;
    out.client.region = options.region;
    out.client.bucket = options.bucket;
    out.client.path_style = options.use_path_style;
    out.client.connect_timeout = options.connect_timeout;
    out.client.read_timeout = options.read_timeout;
    out.client.connections_max = options.connections_max;
    // A streamed PUT cannot be sent again: the service says first whether it takes it now.
    out.client.expect_continue_bytes_min = limits::write_at_once_bytes_max + 1;
    out.client.ca_file = ca_file;
    out.client.proxies = std::move(proxies);
    out.client.tls_insecure = options.tls_insecure;
    return out;
}

result<std::string> proxy_of(const s3_options& options) {
    KS_TRY(const auto proxies, net::proxy_rules::from_environment(options.env));
    const auto bucket = keepstore::s3::make_bucket_address({.endpoint = options.endpoint,
                                                            .region = options.region,
                                                            .bucket = options.bucket,
                                                            .path_style = options.use_path_style});
    // What is wrong with the address is reported where it is used.
    const auto* const via = bucket ? proxies.find(bucket->to) : nullptr;
    return via ? net::to_string(via->to) : std::string();
}

}  // namespace keepstore::volumes::s3
