/// Sends one signed request with all that belongs to it: keys, region, clock, retries, errors. Shared by all operations
/// of s3::client; not part of the module's interface.
///
/// Safe to use from any thread; a call runs on its caller's executor.
#pragma once

#include "cloud/call_runner.hpp"
#include "cloud/learned_clock.hpp"
#include "cloud/presence.hpp"
#include "s3/bucket_address.hpp"
#include "s3/client.hpp"
#include "s3/op_stats.hpp"
#include "s3/request_failure.hpp"
#include "s3/sigv4.hpp"

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace keepstore::s3 {

/// A request before it is signed.
struct call {
    operation op;
    std::string method;
    std::string key;           ///< Not encoded; empty: the bucket.
    name_values query = {};    ///< Not encoded.
    name_values headers = {};  ///< Lower-case names; all are signed.
    upload_body body = {};
    std::string payload_hash = std::string(empty_payload_hash);
    bool expect_continue = false;
    bool is_data = false;  ///< The body is an object's, and counts as bytes_out.
};

using cloud::full_response;
using cloud::response_check;

extern const cloud::service_traits s3_traits;

class client_core : public std::enable_shared_from_this<client_core> {
  public:
    client_core(client_options options, bucket_address address, net::client http,
                std::shared_ptr<credentials_cache> keys);

    /// Sends the request, again after errors that may pass. `check` and `session` stay the caller's; awaited in place.
    /// An error's text begins with the operation, status, code and request id.
    [[nodiscard]] awaitable<result<full_response>> run(call c, const response_check& check, retry_session& session,
                                                       deadline until);

    /// Returns `not_found` if the bucket is known to exist, or is found to exist now; the reason otherwise.
    [[nodiscard]] awaitable<error> explain_missing(error not_found, deadline until);

    /// Finds out why a HEAD was refused, by a request whose response has a body, and learns from it (region, clock,
    /// keys).
    /// \returns nullopt if that request succeeds, so that the HEAD may be tried again; or the reason.
    [[nodiscard]] awaitable<std::optional<error>> explain_refusal(deadline until);

    [[nodiscard]] const client_options& options() const noexcept { return options_; }
    [[nodiscard]] retry_policy& retries() noexcept { return retries_; }
    [[nodiscard]] op_stats& stats() noexcept { return stats_; }
    [[nodiscard]] bucket_address address() const;
    [[nodiscard]] std::string region() const;
    /// Returns whether listings begin with ListObjects instead of ListObjectsV2.
    [[nodiscard]] bool lists_v1() const noexcept { return list_v1_.load(std::memory_order_relaxed); }
    /// Makes further listings use ListObjects: the service does not support ListObjectsV2.
    void learn_list_v1();
    /// Returns the time to add to our clock for signatures.
    [[nodiscard]] std::chrono::milliseconds skew() const noexcept { return clock_.skew(); }

  private:
    class attempts;

    /// Learns the bucket's region. \returns whether the request was signed for another one, `used`, which becomes it.
    [[nodiscard]] bool learn_region(const request_failure& f, std::string& used);

    const client_options options_;
    const std::shared_ptr<credentials_cache> keys_;
    net::client http_;
    signer signer_;
    retry_policy retries_;
    op_stats stats_;
    std::atomic<bool> list_v1_;
    cloud::learned_clock clock_{"S3"};
    cloud::presence bucket_;

    mutable std::mutex mutex_;
    // Guarded by mutex_: they change when the bucket turns out to be in another region.
    bucket_address address_;
    std::string region_;
};

}  // namespace keepstore::s3
