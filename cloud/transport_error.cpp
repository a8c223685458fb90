#include "cloud/transport_error.hpp"

#include "net/client/failure.hpp"

#include <optional>
#include <utility>

namespace keepstore::cloud {
namespace {

std::optional<net::failure> failure_of(const std::error_code& cause) noexcept {
    if (cause.category() != net::failure_category() || cause.value() == 0) return std::nullopt;
    return static_cast<net::failure>(cause.value());
}

error_kind kind_for(net::failure failure) noexcept {
    using f = net::failure;
    switch (failure) {
        case f::invalid_request:
            return error_kind::invalid;
        case f::certificate:
            return error_kind::bad_certificate;
        case f::malformed:
        case f::head_too_large:
        case f::body_too_large:
        case f::bad_redirect:
            return error_kind::malformed_response;
        case f::wait_timeout:
        case f::connect_timeout:
        case f::send_timeout:
        case f::first_byte_timeout:
        case f::read_timeout:
        case f::deadline_passed:
            return error_kind::timeout;
        case f::closed:
        case f::cancelled:
            return error_kind::cancelled;
        case f::resolve:
        case f::connect:
        case f::tls:
        case f::pool_full:
        case f::no_response:
        case f::cut_short:
        case f::body_source:
            break;
    }
    return error_kind::network;
}

}  // namespace

error from_transport(error e) {
    const auto failure = failure_of(e.cause);
    if (!failure || *failure == net::failure::body_source) return e;
    // Keeps the HTTP client's text, which says where it failed and what to check.
    const auto kind = kind_for(*failure);
    if (kind == error_kind::bad_certificate) {
        e.text += " (SSL_CERT_FILE can name the file of the authorities to trust; TLS.Insecure is not for S3 or Azure)";
    }
    return {to_errc(kind), std::move(e.text), make_error_code(kind)};
}

}  // namespace keepstore::cloud
