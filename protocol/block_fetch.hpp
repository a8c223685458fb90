/// One GET of a block from another keep service: for pull lists and for reads from other clusters. Redirects are not
/// followed: a service answers itself, or not at all. Pure functions and coroutines; safe to use from any thread.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "net/client/http_client.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace keepstore::protocol {

/// A keep service: where it is, and what comes before the locator in its paths.
struct block_server {
    net::endpoint to;
    std::string path;  ///< Ends with a slash.
};

/// "http[s]://host[:port][/path]", with or without a slash at its end. \returns errc::bad_request with what is wrong.
[[nodiscard]] result<block_server> parse_block_server(std::string_view url);

struct block_fetch {
    std::string locator;  ///< With its signature; any bytes, encoded for the path here.
    std::string token;
    std::string request_id;             ///< Empty: none is sent.
    std::optional<std::uint64_t> size;  ///< What the block's size must be, where that is known.
    net::phase_limits timing;
};

/// A block that a server has begun to send.
struct incoming_block {
    net::response response;
    std::uint64_t size;  ///< At most limits::block_size_bytes_max.
};

/// Asks one server. Errors, by what can be done about them:
///   not_found          it has no such block for us: 404, and the other statuses that asking again does not change
///   unavailable        it cannot be reached, or failed (408, 429, 5xx, redirects, no HTTP)
///   timeout            it is too slow
///   checksum_mismatch  it has a block of another size under this name, or does not say which size
///   cancelled
/// Awaited in place or spawned.
[[nodiscard]] awaitable<result<incoming_block>> open_block(const net::client&, block_server, block_fetch,
                                                           deadline until);

/// After the last byte of the block: that there is no more. errc::checksum_mismatch if there is. Awaited in place.
[[nodiscard]] awaitable<result<void>> expect_end(incoming_block&);

/// What reading the body of such a response met, as open_block() would say it.
[[nodiscard]] error reading_error(error why);

/// Whether asking the same server again may help.
[[nodiscard]] bool may_pass(const error& why) noexcept;

}  // namespace keepstore::protocol
