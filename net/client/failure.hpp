/// Why a call of the HTTP client failed, finer than errc: the `cause` of each of its errors.
///
///     if (r.error().cause == net::failure::certificate) ...   // Trying again is no use.
#pragma once

#include <cstddef>
#include <string_view>
#include <system_error>
#include <type_traits>

namespace keepstore::net {

enum class failure {
    invalid_request = 1,  ///< errc::bad_request. The caller's request cannot be put on the wire.
    resolve,              ///< errc::unavailable. The name has no address, or the name service failed.
    connect,              ///< errc::unavailable. No address took the connection.
    tls,                  ///< errc::unavailable. The handshake failed for a reason other than the certificate.
    certificate,          ///< errc::unavailable. The server's certificate was rejected: trying again is no use.
    pool_full,            ///< errc::unavailable. Too many requests wait for a connection to this server.
    closed,               ///< errc::unavailable. The client was closed.
    no_response,          ///< errc::unavailable. The connection ended before the response head was complete. The server
                          ///< may or may not have executed the request.
    cut_short,            ///< errc::unavailable. The connection ended inside the response body.
    malformed,            ///< errc::io_error. The response is not HTTP, or not strictly enough.
    head_too_large,       ///< errc::io_error. A response head over the limits.
    body_too_large,       ///< errc::too_large. read_all() met its limit.
    bad_redirect,         ///< errc::io_error. A redirect that leads nowhere, or one too many.
    body_source,          ///< The error of the caller's body_source, or a source that gave another number of bytes than
                          ///< it announced (errc::bad_request).
    wait_timeout,         ///< errc::timeout. The deadline passed while waiting for a connection of the pool.
    connect_timeout,      ///< errc::timeout. Name, connection and handshake took longer than allowed.
    send_timeout,         ///< errc::timeout. No byte of the request could be sent for the progress limit.
    first_byte_timeout,   ///< errc::timeout. The request was sent, and no response came.
    read_timeout,         ///< errc::timeout. No byte of the response came for the progress limit.
    deadline_passed,      ///< errc::timeout. The deadline of the whole call passed.
    cancelled,            ///< errc::cancelled. The caller was cancelled.
};
inline constexpr std::size_t failure_count = static_cast<std::size_t>(failure::cancelled) + 1;

/// The name of the enumerator, as a metric label.
[[nodiscard]] std::string_view to_string(failure) noexcept;
[[nodiscard]] const std::error_category& failure_category() noexcept;
[[nodiscard]] inline std::error_code make_error_code(failure f) noexcept {
    return {static_cast<int>(f), failure_category()};
}

}  // namespace keepstore::net

template <>
struct std::is_error_code_enum<keepstore::net::failure> : std::true_type {};
