#include "volumes/s3/access.hpp"

#include "s3/credentials/credential_sources.hpp"
#include "volumes/limits.hpp"

#include <utility>

namespace keepstore::volumes::s3 {

result<bucket_access> make_access(const s3_options& options) {
    keepstore::s3::credentials_config keys;
    keys.access_key_id = options.access_key_id;
    keys.secret_access_key = options.secret_access_key;
    keys.region = options.region;
    keys.ca_file = options.ca_file;
    auto credentials = keepstore::s3::make_credentials(std::move(keys));
    if (!credentials) return std::unexpected(std::move(credentials.error()));
    bucket_access out;
    out.keys = std::move(*credentials);
    out.client.endpoint = options.endpoint;
    out.client.region = options.region;
    out.client.bucket = options.bucket;
    out.client.path_style = options.use_path_style;
    out.client.connect_timeout = options.connect_timeout;
    out.client.read_timeout = options.read_timeout;
    out.client.connections_max = options.connections_max;
    // A streamed PUT cannot be sent again: the service says first whether it takes it now.
    out.client.expect_continue_bytes_min = limits::write_at_once_bytes_max + 1;
    out.client.ca_file = options.ca_file;
    out.client.tls_insecure = options.tls_insecure;
    return out;
}

}  // namespace keepstore::volumes::s3
