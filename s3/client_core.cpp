#include "s3/client_core.hpp"

#include "base/log.hpp"
#include "s3/limits.hpp"

#include <utility>

namespace keepstore::s3 {
namespace {

using std::chrono::milliseconds;

}  // namespace

constinit const cloud::service_traits s3_traits{.name = "S3",
                                                .header_prefix = "x-amz-",
                                                .metadata_prefix = "x-amz-meta-",
                                                .request_id = "x-amz-request-id",
                                                .make_error = make_error};

/// Keys, region, clock and address of a call's attempts.
class client_core::attempts final : public cloud::call_attempts {
  public:
    attempts(client_core& core, const call& c) : core_(core), call_(c), region_(core.region()), skew_(core.skew()) {}

    [[nodiscard]] awaitable<result<void>> take_keys(deadline until) override {
        KS_CO_TRY(keys_, co_await core_.keys_->get(until));
        co_return success();
    }

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
        core_.signer_.sign(call_.method, path, query, headers, call_.payload_hash, region_, keys_.keys, now);
        for (auto& [name, value] : headers) out.headers.push_back({std::move(name), std::move(value)});
        failure_.reset();
        return out;
    }

    [[nodiscard]] awaitable<cloud::request_failure> read_failure(net::response response,
                                                                 milliseconds local_time) override {
        failure_ = co_await s3::read_failure(call_.op, std::move(response), local_time);
        if (failure_->code == "NoSuchKey") core_.bucket_.note();
        // A bare 404 may be of a misconfigured proxy: explain_missing then has to check the bucket.
        if (failure_->kind == error_kind::not_found && failure_->code.empty() && !failure_->from_s3) {
            core_.bucket_.forget();
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
        if (!about_keys || keys_renewed_) co_return false;
        keys_renewed_ = true;
        auto renewed = co_await core_.keys_->renew(keys_, until);
        if (!renewed) co_return false;
        keys_ = std::move(*renewed);
        co_return true;
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
    const call& call_;
    credentials keys_;
    std::string region_;
    milliseconds skew_;
    std::optional<net::endpoint> redirected_;
    bool keys_renewed_ = false;
    std::optional<request_failure> failure_;  ///< The latest response, unless it was a success or none.
};

client_core::client_core(client_options options, bucket_address address, net::client http,
                         std::shared_ptr<credentials_cache> keys)
    : options_(std::move(options)),
      keys_(std::move(keys)),
      http_(std::move(http)),
      retries_(options_.retry),
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
    const cloud::call_parts parts{.service = s3_traits,
                                  .http = http_,
                                  .stats = stats_,
                                  .now = options_.now,
                                  .timing = {.connect = options_.connect_timeout,
                                             .first_byte = options_.read_timeout,
                                             .progress = options_.read_timeout}};
    cloud::call_outline outline{.operation = static_cast<std::size_t>(c.op),
                                .name = to_string(c.op),
                                .reads_body = c.op != operation::get && c.method != "HEAD",
                                .is_data = c.is_data,
                                .expect_continue = c.expect_continue,
                                .body = std::move(c.body)};
    auto got = co_await cloud::run_call(parts, std::move(outline), all, check, session, until);
    if (got) bucket_.note();
    co_return got;
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

awaitable<error> client_core::explain_missing(error not_found, deadline until) {
    if (bucket_.noted_within(limits::s3_bucket_seen_for)) co_return not_found;
    call c{.op = operation::head_bucket, .method = "HEAD", .key = {}};
    const response_check accept = [](const full_response&) { return success(); };
    retry_session session(retries_, until);
    const auto got = co_await run(std::move(c), accept, session, until);
    if (got) co_return not_found;
    if (kind_of(got.error()) == error_kind::not_found) {
        co_return make_error(error_kind::no_such_bucket, "S3 head_bucket: 404");
    }
    // Keys without access to the bucket as a whole may still have access to its objects.
    if (kind_of(got.error()) == error_kind::access_denied) co_return not_found;
    co_return got.error();
}

awaitable<std::optional<error>> client_core::explain_refusal(deadline until) {
    call c{.op = operation::list,
           .method = "GET",
           .key = {},
           .query = {{"list-type", "2"}, {"max-keys", "1"}, {"prefix", ""}}};
    const response_check accept = [](const full_response&) { return success(); };
    retry_session session(retries_, until);
    auto got = co_await run(std::move(c), accept, session, until);
    if (got) co_return std::nullopt;
    co_return std::move(got.error());
}

}  // namespace keepstore::s3
