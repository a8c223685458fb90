/// The names of cloud/ are names of S3, too.
#pragma once

#include "cloud/call_runner.hpp"
#include "cloud/credentials/credentials.hpp"
#include "cloud/download.hpp"
#include "cloud/environment.hpp"
#include "cloud/object.hpp"
#include "cloud/query.hpp"
#include "cloud/retry.hpp"
#include "cloud/secret.hpp"
#include "cloud/time.hpp"

namespace keepstore::s3 {

using namespace cloud;
using cloud::byte_range;  // Not that of base/.

}  // namespace keepstore::s3
