/// What the TLS contexts of both ends have in common.
#pragma once

#include "base/error.hpp"

#include <memory>
#include <string>

struct ssl_ctx_st;
struct ssl_method_st;

namespace keepstore::net {

/// Makes a context for TLS 1.2 and later, without renegotiation and compression, whose idle connections hold no record
/// buffers.
[[nodiscard]] result<std::shared_ptr<ssl_ctx_st>> make_ssl_context(const ssl_method_st* method);

/// errc::bad_request with `what`, and the reason that OpenSSL has queued first. Clears its queue.
[[nodiscard]] std::unexpected<error> tls_error(std::string what);

}  // namespace keepstore::net
