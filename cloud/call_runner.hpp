/// Sends a call's request, and sends it again where that may help: the loop around the attempts that S3 and Azure have
/// in common. Keys, signatures and errors are the service's, behind `call_attempts`. Used by the clients, not by
/// drivers.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "cloud/object.hpp"
#include "cloud/op_stats.hpp"
#include "cloud/request_failure.hpp"
#include "cloud/retry.hpp"
#include "cloud/service.hpp"
#include "net/client/http_client.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace keepstore::cloud {

/// A successful response. `body` is empty where the caller still has to read it.
struct full_response {
    net::response response;
    std::string body;
};

/// Checks the content of a 2xx response. Its error decides on a retry like any other.
using response_check = std::function<result<void>(const full_response&)>;

/// The attempts of one call: what changes from one to the next. Used by one coroutine; its methods are awaited in
/// place.
class call_attempts {
  public:
    virtual ~call_attempts() = default;

    /// Gets valid keys, before the first attempt and before each retry.
    [[nodiscard]] virtual awaitable<result<void>> take_keys(deadline until) = 0;
    /// Makes the signed request; the runner adds the body and the limits of time.
    [[nodiscard]] virtual net::request make_request() = 0;
    /// Reads a response whose status is no success. The details that correct() needs are kept.
    [[nodiscard]] virtual awaitable<request_failure> read_failure(net::response response,
                                                                  std::chrono::milliseconds local_time) = 0;
    /// Corrects region, clock or keys by what the failure says. \returns whether another attempt at once may succeed.
    [[nodiscard]] virtual awaitable<bool> correct(const request_failure& f, deadline until) = 0;
};

/// What the runner needs of a client. Outlives the call.
struct call_parts {
    const service_traits& service;
    const net::client& http;
    op_stats& stats;
    std::function<std::chrono::sys_time<std::chrono::milliseconds>()> now;
    net::phase_limits timing;
};

/// What the runner has to know of a call.
struct call_outline {
    std::size_t operation;   ///< Its position in the texts of the statistics.
    std::string_view name;   ///< "get"
    bool reads_body = true;  ///< False for GET of an object, whose body the caller reads, and HEAD.
    bool is_data = false;    ///< The body is an object's, and counts as bytes_out.
    bool expect_continue = false;
    upload_body body = {};
};

/// Sends the request, again after errors that may pass. All arguments stay the caller's; awaited in place. An error's
/// text begins with service, operation, status, code and request id.
[[nodiscard]] awaitable<result<full_response>> run_call(const call_parts& parts, call_outline c,
                                                        call_attempts& attempts, const response_check& check,
                                                        retry_session& session, deadline until);

}  // namespace keepstore::cloud
