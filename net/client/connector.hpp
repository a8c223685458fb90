/// Opens connections: name, addresses, TCP, TLS. Addresses are tried in the system's order, each concurrently with
/// those before it that are still undecided (RFC 8305, "happy eyeballs"); the first that connects is tried first from
/// then on.
#pragma once

#include "net/client/client_shared.hpp"
#include "net/client/name_lookups.hpp"
#include "net/client/timer_list.hpp"
#include "net/http/stream.hpp"

namespace keepstore::net {

/// Opens a connection that is ready for a request. `due` is the end of the connect limit, `whole` that of the whole
/// call. Awaited in place.
[[nodiscard]] awaitable<result<std::unique_ptr<stream>>> open_connection(client_shared&, name_lookups&, const endpoint&,
                                                                         timed_waiter&, steady::time_point due,
                                                                         steady::time_point whole);

}  // namespace keepstore::net
