/// What an Azure client has done so far, for metrics (docs/interface.md 6.3). Safe to use from any thread.
#pragma once

#include "cloud/op_stats.hpp"

#include <cstddef>
#include <string_view>

namespace keepstore::azure {

/// The Go daemon's eight first, then those it does not count.
enum class operation {
    get,             ///< Get Blob.
    get_range,       ///< Get Blob with a range.
    get_metadata,    ///< Get Blob Metadata, which the Go daemon sends; this client sends get_properties instead.
    get_properties,  ///< Get Blob Properties: a HEAD.
    create,          ///< Put Blob.
    set_metadata,    ///< Set Blob Metadata.
    list,            ///< List Blobs.
    del,             ///< Delete Blob.
    put_block,
    put_block_list,
    get_container,  ///< Get Container Properties.
    copy,           ///< Copy Blob From URL.
};
inline constexpr std::size_t operation_count = static_cast<std::size_t>(operation::copy) + 1;

/// Operations have the Go daemon's names: "get", "get_range", "get_metadata", "get_properties", "create",
/// "set_metadata", "list", "delete"; then "put_block", "put_block_list", "get_container", "copy". Error types are the
/// Go daemon's: "storage.AzureStorageServiceError 404 (BlobNotFound)", and "*url.Error" where there was no response.
extern const cloud::op_stats_texts stats_texts;

}  // namespace keepstore::azure
