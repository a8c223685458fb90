/// The address of a container: the Blob endpoint of its account, or a given one. Pure functions.
#pragma once

#include "base/error.hpp"
#include "net/http/url.hpp"

#include <string>
#include <string_view>

namespace keepstore::azure {

struct blob_address {
    net::endpoint to;
    std::string path_prefix;  ///< Percent-encoded: "/container", or "/account/container" of an emulator.

    /// Returns the path of this blob, or of the container itself if `key` is empty.
    [[nodiscard]] std::string path_of(std::string_view key) const;
};

struct address_options {
    std::string_view endpoint;  ///< URL or bare host (https); empty: that of the account.
    std::string_view suffix;    ///< "core.windows.net"
    std::string_view account;
    std::string_view container;
};

/// Makes the address. An endpoint that is an IP address has the account as the first part of its path, which is added
/// where it is missing: so do emulators. \returns errc::bad_request if a part is malformed; the text says which.
[[nodiscard]] result<blob_address> make_blob_address(const address_options& options);

}  // namespace keepstore::azure
