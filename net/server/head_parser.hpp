/// Request heads: from bytes to a request_head, or to the refusal that the client gets. Strict where leniency is how
/// requests are smuggled: two parties that read one byte stream differently. Pure functions, safe on any bytes.
#pragma once

#include "net/server/server_exchange.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace keepstore::net {

/// An answer given by the transport itself; the connection is closed after it (docs/interface.md 2.9).
struct refusal {
    unsigned status;
    std::string body;  ///< text/plain, no newline: "400 Bad Request: reason".
};

struct parsed_head {
    request_head head;
    bool keep_alive = true;  ///< What the client allows.
    bool expects_continue = false;
    bool options_asterisk = false;  ///< "OPTIONS *", which the transport answers.
};

[[nodiscard]] refusal bad_request(std::string_view reason);
[[nodiscard]] refusal head_too_large();

/// Parses one complete head (up to and with its CRLFCRLF) into `into`, whose old content is replaced and whose memory
/// is reused.
[[nodiscard]] std::optional<refusal> parse_head(std::string_view text, parsed_head& into);

}  // namespace keepstore::net
