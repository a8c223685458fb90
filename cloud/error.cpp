#include "cloud/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>

namespace keepstore::cloud {
namespace {

struct kind_row {
    error_kind kind;
    std::string_view name;
    errc code;
    retry_class retry;
    std::string_view advice;
};

// One row per kind, in the order of the enumeration.
constexpr std::array rows{
    kind_row{error_kind::not_found, "not_found", errc::not_found, retry_class::never, "There is no such object."},
    kind_row{error_kind::no_such_bucket, "no_such_bucket", errc::unavailable, retry_class::never,
             "It does not exist at this endpoint: check its name and Endpoint, or create it."},
    kind_row{error_kind::no_such_upload, "no_such_upload", errc::io_error, retry_class::never,
             "The multipart upload is gone: a lifecycle rule or another process aborted it."},
    kind_row{error_kind::access_denied, "access_denied", errc::unavailable, retry_class::never,
             "Access denied: these credentials do not allow it."},
    kind_row{error_kind::bad_credentials, "bad_credentials", errc::unavailable, retry_class::never,
             "The credentials are missing or not accepted: check where they come from."},
    kind_row{error_kind::expired_token, "expired_token", errc::unavailable, retry_class::never,
             "The temporary credentials have expired and no newer ones could be fetched: check their source."},
    kind_row{error_kind::clock_skew, "clock_skew", errc::unavailable, retry_class::never,
             "The clock of this machine is wrong by more than 15 minutes: check time synchronisation (NTP)."},
    kind_row{error_kind::wrong_region, "wrong_region", errc::unavailable, retry_class::never,
             "The bucket is in another region: set Region (and Endpoint) to the bucket's own."},
    kind_row{
        error_kind::slow_down, "slow_down", errc::unavailable, retry_class::throttled,
        "The service is throttling requests: a passing overload, or the request rate is above the bucket's limits."},
    kind_row{error_kind::server, "server", errc::unavailable, retry_class::transient,
             "The storage service failed internally; if it lasts, look at the service itself."},
    kind_row{error_kind::bad_digest, "bad_digest", errc::checksum_mismatch, retry_class::transient,
             "The service received other bytes than were sent: a faulty network device or proxy in between."},
    kind_row{error_kind::precondition, "precondition", errc::io_error, retry_class::never,
             "The condition of a conditional request does not hold."},
    kind_row{error_kind::invalid_range, "invalid_range", errc::io_error, retry_class::never,
             "The requested range begins past the end of the object."},
    kind_row{error_kind::invalid, "invalid", errc::io_error, retry_class::never,
             "The service refuses the request as malformed."},
    kind_row{error_kind::unsupported, "unsupported", errc::unsupported, retry_class::never,
             "The service does not implement this operation."},
    kind_row{error_kind::malformed_response, "malformed_response", errc::unavailable, retry_class::transient,
             "Unexpected response: not of this service, but of a web page or proxy."},
    kind_row{error_kind::network, "network", errc::unavailable, retry_class::transient,
             "No connection, or it broke: check Endpoint, name resolution, routing and firewalls."},
    kind_row{error_kind::bad_certificate, "bad_certificate", errc::unavailable, retry_class::never,
             "TLS certificate verification failed: not trusted, or not for this host name; install the certificate "
             "authority or correct Endpoint."},
    kind_row{error_kind::timeout, "timeout", errc::timeout, retry_class::transient,
             "The service did not respond in time: check its load, the network, ConnectTimeout and ReadTimeout."},
    kind_row{error_kind::cancelled, "cancelled", errc::cancelled, retry_class::never, "The call was cancelled."},
};

constexpr bool rows_are_in_order() {
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (static_cast<std::size_t>(rows[i].kind) != i + 1) return false;
    }
    return true;
}
static_assert(rows_are_in_order());

const kind_row& row(error_kind kind) noexcept {
    const auto index = static_cast<std::size_t>(kind) - 1;
    return index < rows.size() ? rows[index] : rows[static_cast<std::size_t>(error_kind::malformed_response) - 1];
}

class category final : public std::error_category {
  public:
    [[nodiscard]] const char* name() const noexcept override { return "cloud"; }
    [[nodiscard]] std::string message(int value) const override {
        return std::string(to_string(static_cast<error_kind>(value)));
    }
};

}  // namespace

std::string_view to_string(error_kind kind) noexcept {
    return row(kind).name;
}
std::string_view common_advice(error_kind kind) noexcept {
    return row(kind).advice;
}
errc to_errc(error_kind kind) noexcept {
    return row(kind).code;
}
retry_class classify_retry(error_kind kind) noexcept {
    return row(kind).retry;
}

error_kind classify_status(unsigned status) noexcept {
    switch (status) {
        case 301:
        case 302:
        case 307:
        case 308:
            return error_kind::wrong_region;
        case 401:
        case 403:
            return error_kind::access_denied;
        case 404:
            return error_kind::not_found;
        case 405:
        case 501:
            return error_kind::unsupported;
        case 407:  // Of a proxy, which wants a user name and password, or others.
            return error_kind::network;
        case 408:
            return error_kind::timeout;
        case 412:
            return error_kind::precondition;
        case 416:
            return error_kind::invalid_range;
        // 509: sent by overloaded proxies and compatible services.
        case 429:
        case 503:
        case 509:
            return error_kind::slow_down;
        default:
            break;
    }
    if (status >= 500) return error_kind::server;
    if (status >= 400) return error_kind::invalid;
    return error_kind::malformed_response;
}

error_kind classify(std::span<const code_row> codes, unsigned status, std::string_view code) noexcept {
    const auto found = std::ranges::lower_bound(codes, code, {}, &code_row::code);
    if (found != codes.end() && found->code == code) return found->kind;
    return classify_status(status);
}

const std::error_category& error_category() noexcept {
    static const category instance;
    return instance;
}

std::error_code make_error_code(error_kind kind) noexcept {
    return {static_cast<int>(kind), error_category()};
}

error make_error(error_kind kind, std::string_view detail, std::string_view advice) {
    auto text = detail.empty() ? std::string(advice) : fmt::format("{}: {}", detail, advice);
    return {to_errc(kind), std::move(text), make_error_code(kind)};
}

error credential_error(error_kind kind, std::string_view detail) {
    return make_error(kind, detail, common_advice(kind));
}

error_kind kind_of(const error& e) noexcept {
    if (e.cause.category() == error_category() && e.cause.value() != 0) return static_cast<error_kind>(e.cause.value());
    switch (e.code) {
        case errc::not_found:
            return error_kind::not_found;
        case errc::timeout:
            return error_kind::timeout;
        case errc::cancelled:
            return error_kind::cancelled;
        case errc::forbidden:
        case errc::unauthorized:
            return error_kind::access_denied;
        case errc::unsupported:
            return error_kind::unsupported;
        default:
            return error_kind::network;
    }
}

}  // namespace keepstore::cloud
