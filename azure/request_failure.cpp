#include "azure/request_failure.hpp"

#include "azure/error.hpp"
#include "azure/limits.hpp"
#include "azure/xml.hpp"

#include <fmt/format.h>

#include <string>

namespace keepstore::azure {

// x-ms-error-code: ServerBusy
// x-ms-request-id: 4c0f...
//
// <?xml version="1.0" encoding="utf-8"?><Error><Code>ServerBusy</Code><Message>...</Message></Error>
awaitable<cloud::request_failure> read_failure(failed_request request, net::response response) {
    auto f = cloud::begin_failure(response, request.local_time);
    const bool of_azure = cloud::has_header_prefix(response, "x-ms-");
    const auto request_id = cloud::printable(response.get("x-ms-request-id"));
    f.code = cloud::printable(response.get("x-ms-error-code"));
    bool page = false;
    if (!request.is_head && f.code.empty()) {
        // Without a readable body the status decides.
        const auto body = co_await response.read_all(limits::cloud_error_bytes_max);
        if (!body && body.error() == errc::cancelled) {
            f.kind = error_kind::cancelled;
            f.what = make_error(f.kind);
            co_return f;
        }
        if (const auto code = body ? parse_error_code(*body) : std::nullopt) f.code = cloud::printable(*code);
        page = body && !body->empty();
    }
    f.kind = classify(f.status, f.code);
    // A signature with an old date fails like one with a wrong key.
    const bool clock_is_off =
        f.clock_offset && std::chrono::abs(*f.clock_offset - request.skew) >= limits::azure_clock_skew_refused;
    if (f.kind == error_kind::bad_credentials && clock_is_off) f.kind = error_kind::clock_skew;
    const auto foreign = f.code.empty() ? cloud::classify_foreign(f.status, page, !of_azure) : std::nullopt;
    if (foreign) f.kind = *foreign;
    const auto detail =
        foreign ? fmt::format("Azure {}: {} without an Azure error code", to_string(request.op), f.status)
                : fmt::format("Azure {}: {}{}{} (request {})", to_string(request.op), f.status,
                              f.code.empty() ? "" : " ", f.code, request_id.empty() ? "unnamed" : request_id);
    f.what = make_error(f.kind, detail);
    co_return f;
}

}  // namespace keepstore::azure
