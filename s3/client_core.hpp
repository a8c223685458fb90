/// Sends one signed request with all that belongs to it: keys, region, clock, retries, errors. Shared by all operations
/// of s3::client; not part of the module's interface.
///
/// Safe to use from any thread; a call runs on its caller's executor.
#pragma once

#include "cloud/call_runner.hpp"
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

extern const cloud::service_traits s3_traits;

class client_core final : public cloud::call_runner {
  public:
    client_core(client_options options, bucket_address address, net::client http,
                std::shared_ptr<credentials_cache> keys);

    using call_runner::run;
    [[nodiscard]] awaitable<result<full_response>> run(call c, const response_check& check, retry_session& session,
                                                       deadline until) override;

    /// Finds out why a HEAD was refused, by a request whose response has a body, and learns from it (region, clock,
    /// keys).
    /// \returns nullopt if that request succeeds, so that the HEAD may be tried again; or the reason.
    [[nodiscard]] awaitable<std::optional<error>> explain_refusal(deadline until);

    [[nodiscard]] const client_options& options() const noexcept { return options_; }
    [[nodiscard]] bucket_address address() const;
    [[nodiscard]] std::string region() const;
    /// Returns whether listings begin with ListObjects instead of ListObjectsV2.
    [[nodiscard]] bool lists_v1() const noexcept { return list_v1_.load(std::memory_order_relaxed); }
    /// Makes further listings use ListObjects: the service does not support ListObjectsV2.
    void learn_list_v1();

  private:
    class attempts;

    [[nodiscard]] call head_place() const override { return {.op = operation::head_bucket, .method = "HEAD"}; }

    /// Learns the bucket's region. \returns whether the request was signed for another one, `used`, which becomes it.
    [[nodiscard]] bool learn_region(const request_failure& f, std::string& used);

    const client_options options_;
    const std::shared_ptr<credentials_cache> keys_;
    signer signer_;
    std::atomic<bool> list_v1_;

    mutable std::mutex mutex_;
    // Guarded by mutex_: they change when the bucket turns out to be in another region.
    bucket_address address_;
    std::string region_;
};

}  // namespace keepstore::s3
