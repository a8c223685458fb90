/// The Range and If-Range headers (RFC 9110 sections 13.1.5 and 14): a client that fetches a part of a block. Pure
/// functions.
#pragma once

#include "base/byte_range.hpp"
#include "base/md5_digest.hpp"
#include "net/server/server_exchange.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace keepstore::router {

/// The value of a Range header that names exactly one range of bytes. Anything else (several ranges, another unit, bad
/// syntax, a range that ends before it begins) is nothing: the whole block is sent, as section 14.2 allows. A number
/// that does not fit is the largest one, which is behind the end of every block.
[[nodiscard]] std::optional<byte_range_spec> parse_range(std::string_view value) noexcept;

/// The part that the request asks for of what has this entity tag. Nothing for every method but GET, and when If-Range
/// names another version: only the same strong tag will do; a date never does, since blocks have none to go by.
[[nodiscard]] std::optional<byte_range_spec> requested_range(const net::request_head&,
                                                             std::string_view entity_tag) noexcept;

/// The strong entity tag of a block, in its quotes. The name says all about the content.
[[nodiscard]] std::string entity_tag_of(const md5_digest&);

/// "bytes 0-99/300"; without a part "bytes */300", for a 416.
[[nodiscard]] std::string content_range(const std::optional<byte_range>& part, std::uint64_t size);

}  // namespace keepstore::router
