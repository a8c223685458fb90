/// What the protocols of all cloud services share, by the short name that drivers use.
#pragma once

#include "base/deadline.hpp"
#include "s3/client.hpp"
#include "s3/error.hpp"

namespace keepstore::volumes::cloud {

namespace protocol = keepstore::s3;
using protocol::error_kind;
using protocol::kind_of;
using protocol::sys_seconds;

}  // namespace keepstore::volumes::cloud
