/// One GET of a block from another keep service, for pull lists and for reads from other clusters. Redirects are not
/// followed. Pure functions and coroutines; safe to use from any thread.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "base/limits.hpp"
#include "net/client/http_client.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace keepstore::protocol {

/// A keep service.
struct block_server {
    net::endpoint to;
    std::string path;  ///< What precedes the locator in its URLs; ends with a slash.
};

/// Parses "http[s]://host[:port][/path]", with or without a final slash. \returns errc::bad_request with the reason.
[[nodiscard]] result<block_server> parse_block_server(std::string_view url);

struct block_fetch {
    std::string locator;  ///< With its signature; any bytes: open_block() encodes them.
    std::string token;
    std::string request_id;             ///< Empty: none is sent.
    std::optional<std::uint64_t> size;  ///< The block's size, if known; another one is an error.
    net::phase_limits timing;
    /// Whether a 502 whose body says that no copy of the server is good ("checksum mismatch in stored data", as the Go
    /// daemon says, too) is checksum_mismatch. Else it is unavailable, as a proxy's 502 is.
    bool tell_bad_copies = false;
};

/// A block that a server has begun to send.
struct incoming_block {
    net::response response;
    std::uint64_t size;  ///< At most limits::block_size_bytes_max.
};

/// Sends the request to one server and reads the head of its response. Awaited in place or spawned. Errors:
///   not_found          404; and the other statuses that a retry does not change, whose cause is permission_denied
///   unavailable        it cannot be reached, or failed (408, 429, 5xx, redirects, no HTTP)
///   timeout            it is too slow
///   checksum_mismatch  it has a block of another size under this name, or does not say which size
///   cancelled
[[nodiscard]] awaitable<result<incoming_block>> open_block(const net::client&, block_server, block_fetch,
                                                           deadline until);

/// Checks after the last byte of the block that the body ends. errc::checksum_mismatch if not. Awaited in place.
[[nodiscard]] awaitable<result<void>> expect_end(incoming_block&);

/// Maps an error of reading the body to those of open_block().
[[nodiscard]] error reading_error(error why);

/// Whether a retry at the same server may help.
[[nodiscard]] bool may_pass(const error& why) noexcept;

}  // namespace keepstore::protocol
