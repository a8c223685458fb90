/// Sends a call's request, and sends it again where that may help: what the clients of S3 and Azure have in common.
/// Addresses, signatures and errors are the service's. Used by the clients, not by drivers.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "cloud/credentials/credentials.hpp"
#include "cloud/learned_clock.hpp"
#include "cloud/limits.hpp"
#include "cloud/object.hpp"
#include "cloud/op_stats.hpp"
#include "cloud/presence.hpp"
#include "cloud/request_failure.hpp"
#include "cloud/retry.hpp"
#include "cloud/service.hpp"
#include "net/client/http_client.hpp"
#include "net/limits.hpp"

#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace keepstore::cloud {

/// How a client connects to its service.
struct connection_options {
    std::chrono::milliseconds connect_timeout = limits::cloud_connect_timeout;
    /// From the request's last byte to the response's first, and the longest pause in a body.
    std::chrono::milliseconds read_timeout = limits::cloud_read_timeout;
    /// Connections per event loop; further requests wait for one, until their deadline.
    unsigned connections_max = limits::net_connections_max;
    /// Data of at least this size is sent with Expect: 100-continue, so that a refusal costs no upload. 0: never.
    std::uint64_t expect_continue_bytes_min = 0;
    std::string ca_file;  ///< PEM with the authorities to trust; empty: the system's.
    bool tls_insecure = false;
    net::proxy_rules proxies;  ///< Default: none.
    retry_options retry;

    // For tests.
    std::vector<std::pair<std::string, std::string>> hosts;  ///< Names with fixed addresses.
    wall_clock now = system_wall_clock();
};

/// Makes the HTTP client. Reads the certificate authorities.
[[nodiscard]] result<net::client> make_http(const connection_options& options);

/// A request before it is signed.
struct call {
    operation_id op;
    std::string method;
    std::string key = {};      ///< Not encoded; empty: the bucket or container.
    name_values query = {};    ///< Not encoded.
    name_values headers = {};  ///< Lower-case names; all are signed where they count.
    upload_body body = {};
    bool is_data = false;    ///< The body is an object's, and counts as bytes_out.
    bool reads_body = true;  ///< False for a GET of an object, whose body the caller reads.
};

/// A successful response. `body` is empty where the caller still has to read it, and after a HEAD.
struct full_response {
    net::response response;
    std::string body;
};

/// Checks the content of a 2xx response. Its error decides on a retry like any other.
using response_check = std::function<result<void>(const full_response&)>;

/// The attempts of one call: what changes from one to the next. Used by one coroutine; its methods are awaited in
/// place. The call and the cache outlive it.
class call_attempts {
  public:
    virtual ~call_attempts() = default;

    /// Gets valid keys, before the first attempt and before each retry.
    [[nodiscard]] awaitable<result<void>> take_keys(deadline until);

    /// Makes the signed request; the runner adds the body and the limits of time.
    [[nodiscard]] virtual net::request make_request() = 0;

    /// Reads a response whose status is no success. The details that correct() needs are kept.
    [[nodiscard]] virtual awaitable<request_failure> read_failure(failed_request request, net::response response) = 0;

    /// Corrects region, clock or keys by what the failure says. \returns whether another attempt at once may succeed.
    [[nodiscard]] virtual awaitable<bool> correct(const request_failure& f, deadline until) = 0;

  protected:
    /// \param cache  null: there are no keys that change.
    call_attempts(const call& c, credentials_cache* cache, std::chrono::milliseconds skew)
        : call_(c), skew_(skew), cache_(cache) {}

    /// Gets other keys than those that were refused, once. \returns whether there are some.
    [[nodiscard]] awaitable<bool> renew_keys(deadline until);

    const call& call_;
    std::chrono::milliseconds skew_;  ///< Added to our clock for the signature.
    credentials keys_;

  private:
    credentials_cache* const cache_;
    bool keys_renewed_ = false;
};

/// A client's calls. Safe to use from any thread; a call runs on its caller's executor.
class call_runner {
  public:
    /// `service` and `texts` outlive it.
    call_runner(const service_traits& service, const op_stats_texts& texts, const connection_options& options,
                net::client http);
    virtual ~call_runner() = default;
    call_runner(const call_runner&) = delete;
    call_runner& operator=(const call_runner&) = delete;

    /// Sends the request, again after errors that may pass. `check` and `session` stay the caller's; awaited in place.
    /// An error's text begins with service, operation, status, code and request id.
    [[nodiscard]] virtual awaitable<result<full_response>> run(call c, const response_check& check,
                                                               retry_session& session, deadline until) = 0;
    /// The same, with a session of its own.
    [[nodiscard]] awaitable<result<full_response>> run(call c, const response_check& check, deadline until);

    /// Returns `not_found` if the bucket or container is known to exist, or is found to exist now; the reason
    /// otherwise. Awaited in place.
    [[nodiscard]] virtual awaitable<error> explain_missing(error not_found, deadline until);

    /// Reads the headers of a HEAD or GET of an object.
    [[nodiscard]] virtual result<object_info> read_info(const net::response& response) const {
        return read_object_info(service_, response);
    }

    [[nodiscard]] const service_traits& service() const noexcept { return service_; }
    [[nodiscard]] retry_policy& retries() noexcept { return retries_; }
    [[nodiscard]] op_stats& stats() noexcept { return stats_; }
    /// Returns the time to add to our clock for signatures.
    [[nodiscard]] std::chrono::milliseconds skew() const noexcept { return clock_.skew(); }

  protected:
    /// Makes and sends the attempts of a call, and notes that the bucket or container is there if one succeeds. All
    /// arguments stay the caller's; awaited in place.
    [[nodiscard]] awaitable<result<full_response>> run_attempts(const call& c, call_attempts& attempts,
                                                                const response_check& check, retry_session& session,
                                                                deadline until);

    /// A HEAD of the bucket or container.
    [[nodiscard]] virtual call head_place() const = 0;

    learned_clock clock_;
    presence place_;  ///< Of the bucket or container.

  private:
    struct sending;
    [[nodiscard]] awaitable<std::expected<full_response, request_failure>> attempt(const call& c,
                                                                                   call_attempts& attempts, sending how,
                                                                                   const response_check& check,
                                                                                   deadline until);
    [[nodiscard]] request_failure broken(const call& c, error what);

    const service_traits& service_;
    const net::client http_;
    const net::phase_limits timing_;
    const std::uint64_t expect_continue_bytes_min_;
    const wall_clock now_;
    retry_policy retries_;
    op_stats stats_;
};

/// Accepts every 2xx response.
[[nodiscard]] result<void> accept_any(const full_response& got);

}  // namespace keepstore::cloud
