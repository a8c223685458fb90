#include "azure/op_stats.hpp"

#include <fmt/format.h>

#include <array>
#include <string>

namespace keepstore::azure {
namespace {

constexpr std::array<std::string_view, operation_count> operation_names{
    "get",  "get_range", "get_metadata", "get_properties", "create",        "set_metadata",
    "list", "delete",    "put_block",    "put_block_list", "get_container", "copy"};
// No response, a missing blob, refused credentials, an outage, overload: what rates and alerts are about.
constexpr std::array<std::string_view, 6> usual_errors{"*url.Error",
                                                       "storage.AzureStorageServiceError 403 (AuthenticationFailed)",
                                                       "storage.AzureStorageServiceError 404 (BlobNotFound)",
                                                       "storage.AzureStorageServiceError 412 (ConditionNotMet)",
                                                       "storage.AzureStorageServiceError 500 (InternalError)",
                                                       "storage.AzureStorageServiceError 503 (ServerBusy)"};

std::string error_type(unsigned status, std::string_view code) {
    if (status == 0) return "*url.Error";
    return fmt::format("storage.AzureStorageServiceError {} ({})", status, cloud::is_plain_code(code) ? code : "");
}

}  // namespace

constinit const cloud::op_stats_texts stats_texts{.operations = operation_names,
                                                  .counted_by_go = 8,
                                                  .retries = "keepstore_azure_retries_total",
                                                  .retries_refused = "keepstore_azure_retries_refused_total",
                                                  .resumed_downloads = "keepstore_azure_resumed_downloads_total",
                                                  .throttled = "keepstore_azure_throttled_total",
                                                  .other_errors = "storage.AzureStorageServiceError other",
                                                  .usual_errors = usual_errors,
                                                  .error_type = error_type};

}  // namespace keepstore::azure
