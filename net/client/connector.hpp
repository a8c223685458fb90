/// Opens connections: name, addresses, TCP, TLS. Addresses are tried in the system's order, each in a race with those
/// before it that have not answered yet (RFC 8305); the one that wins is tried first from then on.
#pragma once

#include "net/client/client_shared.hpp"
#include "net/client/name_lookups.hpp"
#include "net/client/timer_list.hpp"
#include "net/http/stream.hpp"

namespace keepstore::net {

/// \returns a connection that is ready for a request. `due` is the end of the connect limit, `whole` that of the whole
/// call. Awaited in place.
[[nodiscard]] awaitable<result<std::unique_ptr<stream>>> open_connection(client_shared&, name_lookups&, const endpoint&,
                                                                         watch&, steady::time_point due,
                                                                         steady::time_point whole);

}  // namespace keepstore::net
