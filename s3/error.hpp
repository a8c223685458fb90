/// Errors of S3: which response is which `error_kind` (cloud/error.hpp), and the advice in S3's terms.
#pragma once

#include "cloud/error.hpp"

#include <string_view>

namespace keepstore::s3 {

using namespace cloud;

/// Returns one sentence for the operator: what it means and what to do.
[[nodiscard]] std::string_view advice(error_kind kind) noexcept;

/// Returns the kind for a response with this HTTP status and this <Code> (empty if there was none). Not for a 2xx
/// without a code.
[[nodiscard]] error_kind classify(unsigned http_status, std::string_view code) noexcept;

/// Makes an error with this kind as its cause. Its text is `detail` (an S3 code with its request id, never a key or a
/// secret), then the kind's advice.
[[nodiscard]] error make_error(error_kind kind, std::string_view detail = {});

}  // namespace keepstore::s3
