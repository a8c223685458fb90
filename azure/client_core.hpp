/// Sends one authorised request with all that belongs to it: keys or tokens, clock, retries, errors. Shared by all
/// operations of azure::client; not part of the module's interface.
///
/// Safe to use from any thread; a call runs on its caller's executor.
#pragma once

#include "azure/blob_address.hpp"
#include "azure/client.hpp"
#include "azure/op_stats.hpp"
#include "cloud/call_runner.hpp"
#include "cloud/learned_clock.hpp"
#include "cloud/presence.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>

namespace keepstore::azure {

using cloud::full_response;
using cloud::response_check;
using cloud::retry_session;

extern const cloud::service_traits azure_traits;

/// A request before it is authorised.
struct call {
    operation op;
    std::string method;
    std::string key = {};      ///< Not encoded; empty: the container.
    name_values query = {};    ///< Not encoded.
    name_values headers = {};  ///< Lower-case names; all are signed where they count.
    upload_body body = {};
    bool is_data = false;  ///< The body is a blob's, and counts as bytes_out.
};

class client_core {
  public:
    client_core(client_options options, authorization how, blob_address address, net::client http);

    /// Sends the request, again after errors that may pass. `check` and `session` stay the caller's; awaited in place.
    /// An error's text begins with the operation, status, code and request id. A missing blob is told from a missing
    /// container.
    [[nodiscard]] awaitable<result<full_response>> run(call c, const response_check& check, retry_session& session,
                                                       deadline until);

    /// A blob of this container, as another container's request to copy it names it, with what lets it be read.
    struct copy_source {
        std::string url;                 ///< Holds a secret, unless there is an authorization.
        std::string authorization = {};  ///< "Bearer ...", a secret; may be empty.
    };
    [[nodiscard]] awaitable<result<copy_source>> make_copy_source(std::string key, deadline until);

    [[nodiscard]] const client_options& options() const noexcept { return options_; }
    [[nodiscard]] cloud::retry_policy& retries() noexcept { return retries_; }
    [[nodiscard]] cloud::retry_policy& list_retries() noexcept { return list_retries_; }
    [[nodiscard]] op_stats& stats() noexcept { return stats_; }
    [[nodiscard]] std::chrono::milliseconds skew() const noexcept { return clock_.skew(); }

  private:
    class attempts;

    /// Returns `not_found` if the container is known to exist, or is found to exist now; the reason otherwise.
    [[nodiscard]] awaitable<error> explain_missing(error not_found, deadline until);

    const client_options options_;
    const authorization how_;
    const blob_address address_;
    net::client http_;
    cloud::retry_policy retries_;
    cloud::retry_policy list_retries_;
    op_stats stats_;
    cloud::learned_clock clock_{"Azure"};
    cloud::presence container_;
};

}  // namespace keepstore::azure
