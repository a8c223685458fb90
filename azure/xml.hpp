/// Parses and writes the XML documents of Blob storage. Every parser takes the whole body and is strict: a truncated,
/// HTML, empty or unexpected body is error_kind::malformed_response, never an empty list. An element, number, date or
/// encoding that is not understood is an error, never a default: a listing that ends early makes blocks look lost. Pure
/// functions.
#pragma once

#include "cloud/object.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::azure {

/// Parses <Error><Code>. \returns the code; nullopt if the body is no complete error document with one.
[[nodiscard]] std::optional<std::string> parse_error_code(std::string_view body);

/// Parses <EnumerationResults> of List Blobs without a delimiter. Names may be percent-encoded (Encoded="true").
/// Snapshots, old versions and deleted blobs are not asked for, and are errors.
[[nodiscard]] result<cloud::list_page> parse_list_page(std::string_view body);

/// Writes <BlockList>: the latest block of each of these ids, which are in base64.
[[nodiscard]] std::string format_block_list(const std::vector<std::string>& encoded_ids);

}  // namespace keepstore::azure
