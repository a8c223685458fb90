/// How a volume reaches its bucket: the options of the S3 client, made from the volume's options. The volume and the
/// operator's probe both use it, so that the probe's result holds for the volume.
#pragma once

#include "s3/client.hpp"
#include "s3/credentials/credentials.hpp"
#include "volumes/s3/s3_volume.hpp"

#include <memory>

namespace keepstore::volumes::s3 {

struct bucket_access {
    keepstore::s3::client_options client;
    std::shared_ptr<keepstore::s3::credentials_cache> keys;
};

/// \returns errc::bad_request, in plain words, for options that cannot work.
[[nodiscard]] result<bucket_access> make_access(const s3_options& options);

}  // namespace keepstore::volumes::s3
