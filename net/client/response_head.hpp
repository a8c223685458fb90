/// Parses the head of a response, strictly (RFC 9112): CRLF line ends, no folded lines, exactly one framing of the
/// body. Pure functions, safe on any bytes.
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

/// Parses one complete head (including its CRLFCRLF) into `into`, whose memory is reused.
/// \returns failure::malformed or failure::head_too_large; the text quotes nothing of the head.
[[nodiscard]] result<void> parse_response_head(std::string_view text, response_head& into);

}  // namespace keepstore::net
