/// How a volume reaches its bucket: the options of the S3 client, made from the volume's options. The volume and the
/// operator's probe both use it, so that the probe's result holds for the volume.
#pragma once

#include "cloud/credentials/credentials.hpp"
#include "s3/client.hpp"
#include "volumes/s3/s3_volume.hpp"

#include <memory>

namespace keepstore::volumes::s3 {

struct bucket_access {
    keepstore::s3::client_options client;
    std::shared_ptr<keepstore::s3::credentials_cache> keys;
};

/// Reads the environment as AWS's tools do: proxies (net/client/proxy.hpp), and AWS_CA_BUNDLE. \returns
/// errc::bad_request, in plain words, for options or variables that cannot work.
[[nodiscard]] result<bucket_access> make_access(const s3_options& options);

/// Returns the proxy that leads to the bucket, "http://host:port" without its password; empty if there is none.
/// errc::bad_request, naming the variable, for one that cannot be used.
[[nodiscard]] result<std::string> proxy_of(const s3_options& options);

}  // namespace keepstore::volumes::s3
