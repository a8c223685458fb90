#include "router/status.hpp"

namespace keepstore::router {
namespace {

unsigned status_of(net::cancel_reason why) noexcept {
    switch (why) {
        case net::cancel_reason::client_gone:
            return status_client_gone;
        // Keep clients retry a 408, and it blames the client's slowness.
        case net::cancel_reason::too_slow:
            return 408;
        // Not 499 as in the Go daemon, which clients never retry (docs/compatibility.md).
        case net::cancel_reason::request_deadline:
        case net::cancel_reason::draining:
        case net::cancel_reason::none:
            break;
    }
    return 503;
}

}  // namespace

unsigned status_of(errc code, net::cancel_reason why) noexcept {
    if (why != net::cancel_reason::none) return status_of(why);
    switch (code) {
        case errc::not_found:
            return 404;
        case errc::bad_request:
            return 400;
        case errc::unauthorized:
            return 401;
        case errc::forbidden:
            return 403;
        case errc::method_not_allowed:
            return 405;
        case errc::too_large:
            return 413;
        case errc::range_not_satisfiable:
            return 416;
        case errc::checksum_mismatch:
            return 502;
        case errc::no_space:
            return 507;
        case errc::unavailable:
        case errc::timeout:
        case errc::cancelled:
            return 503;
        case errc::unsupported:
            return 501;
        case errc::collision:
        case errc::io_error:
            break;
    }
    return 500;
}

std::string_view text_of(net::cancel_reason why) noexcept {
    switch (why) {
        case net::cancel_reason::none:
        case net::cancel_reason::client_gone:
            break;
        case net::cancel_reason::too_slow:
            return "request timeout: the client sends or reads too slowly";
        case net::cancel_reason::request_deadline:
            return "request deadline exceeded";
        case net::cancel_reason::draining:
            return "service is shutting down";
    }
    return {};
}

}  // namespace keepstore::router
