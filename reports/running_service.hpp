/// The service that listens on an address in use.
#pragma once

#include <boost/asio/ip/tcp.hpp>

namespace keepstore::reports {

/// Whether the process that listens there answers as a keepstore does: by the CORS headers that keepstores alone send.
/// Sends no secret. Blocks, for some seconds at most.
[[nodiscard]] bool answers_as_keepstore(boost::asio::ip::tcp::endpoint where, bool tls);

}  // namespace keepstore::reports
