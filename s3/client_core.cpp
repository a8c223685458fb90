#include "s3/client_core.hpp"

#include "base/hex.hpp"
#include "base/log.hpp"
#include "base/sha256.hpp"
#include "s3/limits.hpp"

#include <utility>

namespace keepstore::s3 {
namespace {

/// Of no body, of data (s3/sigv4.hpp), or of a document in one slice.
std::string payload_hash(const call& c) {
    if (c.body.size() == 0) return std::string(empty_payload_hash);
    if (c.is_data) return std::string(unsigned_payload);
    return to_hex(sha256(c.body.slices.front().bytes));
}

}  // namespace

constinit const cloud::service_traits s3_traits{.name = "S3",
                                                .header_prefix = "x-amz-",
                                                .metadata_prefix = "x-amz-meta-",
                                                .request_id = "x-amz-request-id",
                                                .get = operation::get,
                                                .get_range = operation::get,
                                                .head = operation::head,
                                                .make_error = make_error};

/// Keys, region, clock and address of a call's attempts.
class client_core::attempts final : public cloud::call_attempts {
  public:
    attempts(client_core& core, const call& c)
        : call_attempts(c, core.keys_.get(), core.skew()), core_(core), region_(core.region()) {}

    // METHOD path?query HTTP/1.1
    // host: bucket.s3.eu-west-1.amazonaws.com
    // ...
    // x-amz-date: 20130524T000000Z
    // x-amz-content-sha256: UNSIGNED-PAYLOAD
    // authorization: AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=...
    [[nodiscard]] net::request make_request() override {
        const auto where = core_.address();
        const auto path = where.path_of(call_.key);
        const auto query = canonical_query(call_.query);
        net::request out;
        out.method = call_.method;
        out.to = redirected_.value_or(where.to);
        out.target = query.empty() ? path : path + "?" + query;

        name_values headers{{"host", net::host_header(out.to)}};
        headers.insert(headers.end(), call_.headers.begin(), call_.headers.end());
        const auto now = std::chrono::floor<std::chrono::seconds>(core_.options_.now() + skew_);
        core_.signer_.sign(call_.method, path, query, headers, payload_hash(call_), region_, keys_.keys, now);
        for (auto& [name, value] : headers) out.headers.push_back({std::move(name), std::move(value)});
        failure_.reset();
        return out;
    }

    [[nodiscard]] awaitable<cloud::request_failure> read_failure(cloud::failed_request request,
                                                                 net::response response) override {
        failure_ = co_await s3::read_failure(request, std::move(response));
        if (failure_->code == "NoSuchKey") core_.place_.note();
        // A bare 404 may be of a misconfigured proxy: explain_missing then has to check the bucket.
        if (failure_->kind == error_kind::not_found && failure_->code.empty() && !failure_->from_s3) {
            core_.place_.forget();
        }
        co_return *failure_;
    }

    [[nodiscard]] awaitable<bool> correct(const cloud::request_failure& f, deadline until) override {
        if (failure_ && follow(*failure_)) co_return true;
        if (core_.clock_.learn(f, skew_)) co_return true;
        // The response to a HEAD has no body that would tell of an expired token (a bare 400 from Amazon) or a replaced
        // key (403). Where the keys are valid and access is denied, the cache limits the fetches that this causes.
        const bool no_reason =
            (f.status == 400 || f.status == 403) && f.code.empty() && f.kind != error_kind::malformed_response;
        const bool about_keys =
            f.kind == error_kind::expired_token || f.kind == error_kind::bad_credentials || no_reason;
        if (!about_keys) co_return false;
        co_return co_await renew_keys(until);
    }

  private:
    /// Goes where the response says that the bucket is.
    [[nodiscard]] bool follow(const request_failure& f) {
        if (f.location && f.location != redirected_) {
            redirected_ = f.location;
            return true;
        }
        return core_.learn_region(f, region_);
    }

    client_core& core_;
    std::string region_;
    std::optional<net::endpoint> redirected_;
    std::optional<request_failure> failure_;  ///< The latest response, unless it was a success or none.
};

client_core::client_core(client_options options, bucket_address address, net::client http,
                         std::shared_ptr<credentials_cache> keys)
    : call_runner(s3_traits, stats_texts, options, std::move(http)),
      options_(std::move(options)),
      keys_(std::move(keys)),
      list_v1_(options_.list_v1),
      address_(std::move(address)),
      region_(options_.region) {}

bucket_address client_core::address() const {
    const std::lock_guard lock(mutex_);
    return address_;
}

std::string client_core::region() const {
    const std::lock_guard lock(mutex_);
    return region_;
}

void client_core::learn_list_v1() {
    if (list_v1_.exchange(true, std::memory_order_relaxed)) return;
    log::info("the S3 service does not support ListObjectsV2; using ListObjects", {{"bucket", options_.bucket}});
}

awaitable<result<full_response>> client_core::run(call c, const response_check& check, retry_session& session,
                                                  deadline until) {
    attempts all(*this, c);
    co_return co_await run_attempts(c, all, check, session, until);
}

bool client_core::learn_region(const request_failure& f, std::string& used) {
    // Amazon sends the header with many errors. A signature for another region is refused with 301, 400 or 403; to a
    // HEAD without a reason.
    const bool about_region = f.kind == error_kind::wrong_region || f.status == 400 || f.status == 403;
    if (!about_region || f.region.empty() || f.region == used) return false;
    used = f.region;
    const std::lock_guard lock(mutex_);
    if (region_ == f.region) return true;
    region_ = f.region;
    if (address_.follows_region) {
        auto moved = make_bucket_address({.endpoint = options_.endpoint,
                                          .region = region_,
                                          .bucket = options_.bucket,
                                          .path_style = options_.path_style});
        if (moved) address_ = std::move(*moved);
    }
    log::warning("the bucket is in another region than configured",
                 {{"bucket", options_.bucket}, {"region", region_}, {"configured", options_.region}});
    return true;
}

awaitable<std::optional<error>> client_core::explain_refusal(deadline until) {
    call c{.op = operation::list, .method = "GET", .query = {{"list-type", "2"}, {"max-keys", "1"}, {"prefix", ""}}};
    auto got = co_await run(std::move(c), cloud::accept_any, until);
    if (got) co_return std::nullopt;
    co_return std::move(got.error());
}

}  // namespace keepstore::s3
