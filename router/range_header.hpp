/// The Range and If-Range headers (RFC 9110 sections 13.1.5 and 14), for clients that fetch a part of a block. Pure
/// functions.
#pragma once

#include "base/byte_range.hpp"
#include "base/md5_digest.hpp"
#include "net/server/server_exchange.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace keepstore::router {

/// Parses the value of a Range header with exactly one range of bytes. nullopt for anything else (several ranges,
/// another unit, bad syntax, a range that ends before it begins): the whole block is sent, as section 14.2 allows. A
/// number that does not fit becomes the largest one, which is past the end of every block.
[[nodiscard]] std::optional<byte_range_spec> parse_range(std::string_view value) noexcept;

/// Returns the requested range of the block with this entity tag. nullopt for all methods except GET, and when If-Range
/// is not the same strong tag; a date never matches, since blocks have no dates to compare.
[[nodiscard]] std::optional<byte_range_spec> requested_range(const net::request_head&,
                                                             std::string_view entity_tag) noexcept;

/// Returns the strong entity tag of a block, with its quotes: the name, which identifies the content.
[[nodiscard]] std::string entity_tag_of(const md5_digest&);

/// Returns "bytes 0-99/300"; without a part "bytes */300", for a 416.
[[nodiscard]] std::string content_range(const std::optional<byte_range>& part, std::uint64_t size);

}  // namespace keepstore::router
