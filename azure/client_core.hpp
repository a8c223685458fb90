/// Sends one authorised request with all that belongs to it: keys or tokens, clock, retries, errors. Shared by all
/// operations of azure::client; not part of the module's interface.
///
/// Safe to use from any thread; a call runs on its caller's executor.
#pragma once

#include "azure/blob_address.hpp"
#include "azure/client.hpp"
#include "azure/op_stats.hpp"
#include "cloud/call_runner.hpp"

#include <string>

namespace keepstore::azure {

extern const cloud::service_traits azure_traits;

class client_core final : public cloud::call_runner {
  public:
    client_core(client_options options, authorization how, blob_address address, net::client http);

    using call_runner::run;
    /// A missing blob is told from a missing container.
    [[nodiscard]] awaitable<result<full_response>> run(call c, const response_check& check, retry_session& session,
                                                       deadline until) override;

    /// Returns `not_found`: run() has told it from a missing container.
    [[nodiscard]] awaitable<error> explain_missing(error not_found, deadline) override { co_return not_found; }

    /// With the MD5 of the whole blob.
    [[nodiscard]] result<object_info> read_info(const net::response& response) const override;

    [[nodiscard]] call head_place() const override {
        return {.op = operation::get_container, .method = "HEAD", .query = {{"restype", "container"}}};
    }

    /// A blob of this container, as another container's request to copy it names it, with what lets it be read.
    struct copy_source {
        std::string url;                 ///< Holds a secret, unless there is an authorization.
        std::string authorization = {};  ///< "Bearer ...", a secret; may be empty.
    };
    [[nodiscard]] awaitable<result<copy_source>> make_copy_source(std::string key, deadline until);

    [[nodiscard]] const client_options& options() const noexcept { return options_; }
    [[nodiscard]] cloud::retry_policy& list_retries() noexcept { return list_retries_; }

  private:
    class attempts;

    const client_options options_;
    const authorization how_;
    const blob_address address_;
    cloud::retry_policy list_retries_;
};

}  // namespace keepstore::azure
