/// Parses request heads: into a request_head, or the refusal that the client gets. Strict where leniency allows request
/// smuggling (two parties that read one byte stream differently). Pure functions, safe on any bytes.
#pragma once

#include "net/server/server_exchange.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace keepstore::net {

/// A response by the server itself, without the handler; the connection is closed after it (docs/interface.md 2.9).
struct refusal {
    unsigned status;
    std::string body;  ///< text/plain, no newline: "400 Bad Request: reason".
};

struct parsed_head {
    request_head head;
    bool keep_alive = true;  ///< What the client allows.
    bool expects_continue = false;
    bool options_asterisk = false;  ///< "OPTIONS *", to which the session responds itself.
};

[[nodiscard]] refusal bad_request(std::string_view reason);
[[nodiscard]] refusal head_too_large();

/// Parses one complete head (including its CRLFCRLF) into `into`, whose old content is replaced and whose memory is
/// reused. \returns why it is refused, or nothing.
[[nodiscard]] std::optional<refusal> parse_head(std::string_view text, parsed_head& into);

}  // namespace keepstore::net
