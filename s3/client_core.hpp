/// Sends one signed request with all that belongs to it: keys, region, clock, retries, errors. Shared by all operations
/// of s3::client; not part of the module's interface.
///
/// Safe to use from any thread; a call runs on its caller's executor.
#pragma once

#include "s3/bucket_address.hpp"
#include "s3/client.hpp"
#include "cloud/op_stats.hpp"
#include "cloud/request_failure.hpp"
#include "s3/sigv4.hpp"

#include <atomic>
#include <functional>
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

/// A successful response. `body` is empty for operation::get, whose body is still to be read.
struct full_response {
    net::response response;
    std::string body;
};

/// Checks the content of a 2xx response. Its error decides on a retry like any other.
using response_check = std::function<result<void>(const full_response&)>;

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
    [[nodiscard]] std::chrono::milliseconds skew() const noexcept {
        return std::chrono::milliseconds(skew_.load(std::memory_order_relaxed));
    }

  private:
    /// Keys, region, clock and address of an attempt; correct() changes them.
    struct attempt_context {
        credentials keys;
        std::string region;
        std::chrono::milliseconds skew{};
        std::optional<net::endpoint> redirected = {};
        bool fresh_connection = false;
        bool keys_renewed = false;
    };
    template <class T>
    using outcome = std::expected<T, request_failure>;

    [[nodiscard]] awaitable<outcome<full_response>> attempt(const call& c, const attempt_context& t,
                                                            const response_check& check, deadline until);
    [[nodiscard]] net::request sign(const call& c, const attempt_context& t);
    /// Corrects the context by what the failure says. \returns whether another attempt at once may succeed.
    [[nodiscard]] awaitable<bool> correct(const request_failure& f, attempt_context& t, deadline until);
    [[nodiscard]] bool learn_region(const request_failure& f, attempt_context& t);
    [[nodiscard]] bool learn_clock(const request_failure& f, attempt_context& t);
    void note_bucket_seen() noexcept;

    const client_options options_;
    const std::shared_ptr<credentials_cache> keys_;
    net::client http_;
    signer signer_;
    retry_policy retries_;
    op_stats stats_;
    std::atomic<bool> list_v1_;
    std::atomic<std::int64_t> skew_{0};  ///< Milliseconds to add to our clock.
    std::atomic<std::int64_t> bucket_seen_{
        0};  ///< When the bucket was last known to exist, in steady clock ticks; 0: never.

    mutable std::mutex mutex_;
    // Guarded by mutex_: they change when the bucket turns out to be in another region.
    bucket_address address_;
    std::string region_;
};

}  // namespace keepstore::s3
