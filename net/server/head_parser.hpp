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

/// Looks for the end of a head in bytes that arrive piece by piece.
class request_head_scanner {
  public:
    enum class state { incomplete, complete, malformed };
    /// `text` is everything since the head's first byte; only what is new is looked at. Malformed: a line end that is
    /// not CRLF, or an empty line before the request line.
    [[nodiscard]] state scan(std::string_view text) noexcept;
    /// Length of the head with its final CRLFCRLF, once complete.
    [[nodiscard]] std::size_t length() const noexcept { return position_; }
    void reset() noexcept { *this = request_head_scanner(); }

  private:
    std::size_t position_ = 0;
    std::size_t line_start_ = 0;
};

[[nodiscard]] refusal bad_request(std::string_view reason);
[[nodiscard]] refusal head_too_large();

/// Parses one complete head (up to and with its CRLFCRLF) into `into`, whose old content is replaced and whose memory
/// is reused.
[[nodiscard]] std::optional<refusal> parse_head(std::string_view text, parsed_head& into);

}  // namespace keepstore::net
