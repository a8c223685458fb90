/// How a service differs from the others where its client uses shared code: its name in texts, its headers, its errors.
#pragma once

#include "base/error.hpp"
#include "cloud/error.hpp"

#include <string_view>

namespace keepstore::cloud {

/// Constants of a client; they live as long as the program.
struct service_traits {
    std::string_view name;             ///< "S3", in texts for the operator.
    std::string_view header_prefix;    ///< "x-amz-": only responses of the service have such headers.
    std::string_view metadata_prefix;  ///< "x-amz-meta-"
    std::string_view request_id;       ///< "x-amz-request-id"
    /// Makes an error with the advice in the service's terms.
    error (*make_error)(error_kind kind, std::string_view detail);
};

}  // namespace keepstore::cloud
