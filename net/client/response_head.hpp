/// The head of a response: from bytes to its parts, strictly (RFC 9112): CRLF line ends, no folded lines, one framing
/// of the body that leaves no doubt. Pure functions, safe on any bytes.
#pragma once

#include "base/error.hpp"
#include "net/http/header.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace keepstore::net {

struct response_head {
    unsigned status = 0;
    std::vector<header_view> headers;  ///< Views into the text that was parsed.
    std::optional<std::uint64_t> content_length;
    bool chunked = false;
    bool keep_alive = false;
    std::optional<std::chrono::seconds> keep_alive_timeout;
};

/// Parses one complete head (up to and with its CRLFCRLF) into `into`, whose memory is reused.
/// \returns what is wrong with it: failure::malformed or failure::head_too_large, without words of the head.
[[nodiscard]] result<void> parse_response_head(std::string_view text, response_head& into);

}  // namespace keepstore::net
