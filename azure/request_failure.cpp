#include "azure/request_failure.hpp"

#include "azure/client_core.hpp"
#include "azure/limits.hpp"
#include "azure/xml.hpp"

namespace keepstore::azure {

// x-ms-error-code: ServerBusy
// x-ms-request-id: 4c0f...
//
// <?xml version="1.0" encoding="utf-8"?><Error><Code>ServerBusy</Code><Message>...</Message></Error>
awaitable<request_failure> read_failure(failed_request request, std::chrono::milliseconds skew,
                                        net::response response) {
    auto f = begin_failure(request, response);
    const bool of_azure = has_header_prefix(response, "x-ms-");
    const auto request_id = printable(response.get("x-ms-request-id"));
    f.code = printable(response.get("x-ms-error-code"));
    bool page = false;
    if (!request.is_head && f.code.empty()) {
        const auto body = co_await read_error_body(response);
        if (!body) {
            f.kind = error_kind::cancelled;
            f.what = make_error(f.kind);
            co_return f;
        }
        if (const auto code = parse_error_code(*body)) f.code = printable(*code);
        page = !body->empty();
    }
    f.kind = classify(f.status, f.code);
    // A signature with an old date fails like one with a wrong key.
    const bool clock_is_off =
        f.clock_offset && std::chrono::abs(*f.clock_offset - skew) >= limits::azure_clock_skew_refused;
    if (f.kind == error_kind::bad_credentials && clock_is_off) f.kind = error_kind::clock_skew;
    finish_failure(f, azure_traits, request, {.page = page, .unmarked = !of_azure, .id = request_id});
    co_return f;
}

}  // namespace keepstore::azure
