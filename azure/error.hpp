/// Errors of Azure Blob storage: which response is which `error_kind` (cloud/error.hpp), and the advice in Azure's
/// terms. The code is that of the header x-ms-error-code, or of the XML body
/// (https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes).
#pragma once

#include "cloud/error.hpp"

#include <string_view>

namespace keepstore::azure {

using namespace cloud;

/// Returns one sentence for the operator: what it means and what to do.
[[nodiscard]] std::string_view advice(error_kind kind) noexcept;

/// Returns the kind for a response with this HTTP status and this code (empty if there was none). Not for a 2xx.
[[nodiscard]] error_kind classify(unsigned http_status, std::string_view code) noexcept;

/// Makes an error with this kind as its cause. Its text is `detail` (a code with its request id, never a key, a token
/// or a signature), then the kind's advice.
[[nodiscard]] error make_error(error_kind kind, std::string_view detail = {});

}  // namespace keepstore::azure
