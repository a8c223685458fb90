/// Opens connections: name, addresses in the system's order, TCP, TLS.
#pragma once

#include "net/client_shared.hpp"
#include "net/transport.hpp"
#include "net/watch_list.hpp"

namespace keepstore::net {

/// \returns a connection that is ready for a request. `due` is the end of the connect limit, `whole` that of the whole
/// call. Each address gets an equal share of what is left. Awaited in place.
[[nodiscard]] awaitable<result<std::unique_ptr<transport>>> open_connection(client_shared&, const endpoint&, watch&,
                                                                            steady::time_point due,
                                                                            steady::time_point whole);

}  // namespace keepstore::net
