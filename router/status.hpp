/// Maps errors to HTTP statuses; no other file does. Pure functions; safe to call from any thread.
#pragma once

#include "base/error.hpp"
#include "net/server/server_exchange.hpp"

#include <string_view>

namespace keepstore::router {

/// Returns the status for an error of the store. After a cancellation `why` alone decides: the error is only its
/// consequence.
[[nodiscard]] unsigned status_of(errc code, net::cancel_reason why) noexcept;

/// Returns the body of the response to a cancelled request; empty for a client that has gone.
[[nodiscard]] std::string_view text_of(net::cancel_reason why) noexcept;

/// nginx's status for "client closed the request", also used by the Go daemon (docs/interface.md 2.8).
inline constexpr unsigned status_client_gone = 499;

}  // namespace keepstore::router
