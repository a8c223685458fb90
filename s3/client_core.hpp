/// One signed request with everything around it: keys, region, clock, retries, errors. What all operations of
/// s3::client share; not part of the module's interface.
///
/// Safe to use from any thread; a call runs on its caller's executor.
#pragma once

#include "s3/bucket_address.hpp"
#include "s3/client.hpp"
#include "s3/op_stats.hpp"
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
    std::string key;           ///< As it is; empty: the bucket.
    name_values query = {};    ///< As it is.
    name_values headers = {};  ///< Lower-case names; all are signed.
    upload_body body = {};
    std::string payload_hash = std::string(empty_payload_hash);
    bool expect_continue = false;
    bool is_data = false;  ///< The body is an object's: it counts.
};

/// A successful answer. `body` is empty for operation::get, whose response is still to be read.
struct answer {
    net::response response;
    std::string body;
};

/// Looks whether a 2xx answer is what it should be. Its error decides on a retry like any other.
using answer_check = std::function<result<void>(const answer&)>;

class client_core : public std::enable_shared_from_this<client_core> {
  public:
    client_core(client_options options, bucket_address address, net::client http,
                std::shared_ptr<credentials_cache> keys);

    /// Sends until it succeeds or is given up. `check` and `session` are the caller's, who awaits this in place.
    /// An error's text begins with the operation, status, code and request id.
    [[nodiscard]] awaitable<result<answer>> run(call c, const answer_check& check, retry_session& session,
                                                deadline until);

    /// errc::not_found if the bucket answered lately or answers now, and why not otherwise.
    [[nodiscard]] awaitable<error> explain_missing(error not_found, deadline until);

    /// A HEAD is refused without saying why. Asks in a way that has an answer with a body, and learns from it (region,
    /// clock, keys). \returns nullopt if all is well now, so that the HEAD may be tried again, or the reason.
    [[nodiscard]] awaitable<std::optional<error>> explain_refusal(deadline until);

    [[nodiscard]] const client_options& options() const noexcept { return options_; }
    [[nodiscard]] retry_policy& retries() noexcept { return retries_; }
    [[nodiscard]] op_stats& stats() noexcept { return stats_; }
    [[nodiscard]] net::client& http() noexcept { return http_; }
    [[nodiscard]] bucket_address address() const;
    [[nodiscard]] std::string region() const;
    /// Whether listings begin with ListObjects instead of ListObjectsV2.
    [[nodiscard]] bool lists_v1() const noexcept { return list_v1_.load(std::memory_order_relaxed); }
    /// The service knows nothing else.
    void learn_list_v1();
    [[nodiscard]] std::chrono::milliseconds skew() const noexcept {
        return std::chrono::milliseconds(skew_.load(std::memory_order_relaxed));
    }

  private:
    /// Why an attempt failed, in all detail.
    struct failure {
        error what;
        error_kind kind;
        unsigned status = 0;
        std::string code = {};
        std::string region = {};                     ///< Where the bucket is, if the service said so.
        std::optional<net::endpoint> location = {};  ///< Of a temporary redirect inside Amazon.
        std::optional<std::chrono::milliseconds> clock_offset = {};
        deadline::clock::duration retry_after{};
    };
    /// What an attempt is made with; corrections change it.
    struct terms {
        credentials keys;
        std::string region;
        std::chrono::milliseconds skew{};
        std::optional<net::endpoint> redirected = {};
        bool fresh_connection = false;
        bool keys_renewed = false;
    };
    template <class T>
    using outcome = std::expected<T, failure>;

    [[nodiscard]] awaitable<outcome<answer>> attempt(const call& c, const terms& t, const answer_check& check,
                                                     deadline until);
    [[nodiscard]] net::request sign(const call& c, const terms& t);
    [[nodiscard]] awaitable<failure> read_failure(const call& c, net::response response,
                                                  std::chrono::milliseconds local_time);
    /// Whether something was learned that makes another attempt at once worthwhile.
    [[nodiscard]] awaitable<bool> correct(const failure& f, terms& t, deadline until);
    [[nodiscard]] bool learn_region(const failure& f, terms& t);
    [[nodiscard]] bool learn_clock(const failure& f, terms& t);
    void note_bucket_seen() noexcept;

    const client_options options_;
    const std::shared_ptr<credentials_cache> keys_;
    net::client http_;
    signer signer_;
    retry_policy retries_;
    op_stats stats_;
    std::atomic<bool> list_v1_;
    std::atomic<std::int64_t> skew_{0};         ///< Milliseconds to add to our clock.
    std::atomic<std::int64_t> bucket_seen_{0};  ///< When the bucket proved to exist, as steady clock ticks; 0: never.

    mutable std::mutex mutex_;
    // Guarded by mutex_: they change when the bucket turns out to be in another region.
    bucket_address address_;
    std::string region_;
};

}  // namespace keepstore::s3
