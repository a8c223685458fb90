/// What the protocols of all cloud services share, by the short name that drivers use.
#pragma once

#include "cloud/download.hpp"
#include "cloud/error.hpp"
#include "cloud/object.hpp"
#include "cloud/op_stats.hpp"

namespace keepstore::volumes::cloud {

namespace protocol = keepstore::cloud;
using protocol::error_kind;
using protocol::kind_of;
using protocol::sys_seconds;

}  // namespace keepstore::volumes::cloud
