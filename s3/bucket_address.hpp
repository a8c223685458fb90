/// The address of a bucket: Amazon's endpoint of a region or a given one, with the bucket in the host name or in the
/// path. Pure functions.
#pragma once

#include "base/error.hpp"
#include "net/http/url.hpp"

#include <string>
#include <string_view>

namespace keepstore::s3 {

struct bucket_address {
    net::endpoint to;             ///< In virtual-hosted style the bucket is its first label.
    std::string path_prefix;      ///< Percent-encoded; empty, or "/path", "/bucket", "/path/bucket".
    bool follows_region = false;  ///< One of Amazon's own endpoints, whose name has the region in it.

    /// Returns the path of this object, or of the bucket itself if `key` is empty.
    [[nodiscard]] std::string path_of(std::string_view key) const;
};

struct address_options {
    std::string_view endpoint;  ///< URL or bare host (https); empty: Amazon's for the region.
    std::string_view region;
    std::string_view bucket;
    bool path_style = false;
};

/// Makes the address. \returns errc::bad_request if Endpoint, Region or Bucket is malformed; the text says which.
[[nodiscard]] result<bucket_address> make_bucket_address(const address_options& options);

/// Returns whether requests (and the signature in them) may be redirected to this host: Amazon's own.
[[nodiscard]] bool is_amazon_host(std::string_view host) noexcept;

}  // namespace keepstore::s3
