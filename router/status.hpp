/// The one place that turns errors into HTTP statuses. Nothing else in the program knows that a full volume is a 507.
/// Pure functions; safe to call from any thread.
#pragma once

#include "base/error.hpp"
#include "net/server/server_exchange.hpp"

#include <string_view>

namespace keepstore::router {

/// The status for an error of the core. When the work was cancelled, `why` decides whatever the error was: what a
/// cancelled operation reports on its way out says nothing about the request.
[[nodiscard]] unsigned status_of(errc code, net::cancel_reason why) noexcept;

/// What the client is told when its request was cancelled; empty for a client that has gone.
[[nodiscard]] std::string_view text_of(net::cancel_reason why) noexcept;

/// nginx's number for "client closed the request", which the Go daemon uses too (docs/interface.md 2.8).
inline constexpr unsigned status_client_gone = 499;

}  // namespace keepstore::router
