/// A cloud service, and the place there that a volume is in, as log messages and error texts name them.
#pragma once

#include <string>

namespace keepstore::volumes::cloud {

struct place {
    std::string service;               ///< "S3"
    std::string kind;                  ///< "bucket"
    std::string name;                  ///< Of the bucket.
    std::string list_permission = {};  ///< What has to be allowed for listing: "s3:ListBucket".
};

}  // namespace keepstore::volumes::cloud
