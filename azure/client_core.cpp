#include "azure/client_core.hpp"

#include "azure/limits.hpp"
#include "azure/request_failure.hpp"
#include "azure/shared_key.hpp"
#include "cloud/time.hpp"

#include <fmt/format.h>

#include <utility>

namespace keepstore::azure {
namespace {

using std::chrono::milliseconds;

cloud::retry_options list_options_of(const client_options& options) {
    auto out = options.retry;
    out.attempts_max = options.list_attempts_max;
    out.throttled_base = options.list_retry_delay;
    out.wait_max = options.list_retry_delay;
    return out;
}

}  // namespace

constinit const cloud::service_traits azure_traits{.name = "Azure",
                                                   .header_prefix = "x-ms-",
                                                   .metadata_prefix = "x-ms-meta-",
                                                   .request_id = "x-ms-request-id",
                                                   .make_error = make_error};

/// Token, clock and latest failure of a call's attempts.
class client_core::attempts final : public cloud::call_attempts {
  public:
    attempts(client_core& core, const call& c, std::uint64_t body_size)
        : core_(core), call_(c), body_size_(body_size), skew_(core.skew()) {}

    [[nodiscard]] awaitable<result<void>> take_keys(deadline until) override {
        if (const auto* const cache = std::get_if<token_cache>(&core_.how_)) {
            KS_CO_TRY(token_, co_await (*cache)->get(until));
        }
        co_return success();
    }

    // METHOD /container/blob?query HTTP/1.1
    // x-ms-date: Fri, 26 Jun 2015 23:39:12 GMT
    // x-ms-version: 2021-12-02
    // authorization: SharedKey account:... | Bearer ...       or, in the query, sv=...&sig=...
    [[nodiscard]] net::request make_request() override {
        const auto path = core_.address_.path_of(call_.key);
        auto query = call_.query;
        name_values headers{{"x-ms-date", cloud::format_http_date(
                                              std::chrono::floor<std::chrono::seconds>(core_.options_.now() + skew_))},
                            {"x-ms-version", std::string(protocol_version)}};
        headers.insert(headers.end(), call_.headers.begin(), call_.headers.end());
        if (const auto* const key = std::get_if<shared_key>(&core_.how_)) {
            const unsigned_request request{call_.method, path, query, headers, body_size_};
            headers.emplace_back("authorization", authorization_header(request, core_.options_.account, *key));
        } else if (const auto* const sas = std::get_if<sas_token>(&core_.how_)) {
            query.insert(query.end(), sas->parameters.begin(), sas->parameters.end());
        } else {
            headers.emplace_back("authorization", "Bearer " + token_.keys.session_token.reveal());
        }
        net::request out;
        out.method = call_.method;
        out.to = core_.address_.to;
        out.target = query.empty() ? path : path + "?" + cloud::canonical_query(query);
        for (auto& [name, value] : headers) out.headers.push_back({std::move(name), std::move(value)});
        return out;
    }

    [[nodiscard]] awaitable<cloud::request_failure> read_failure(net::response response,
                                                                 milliseconds local_time) override {
        auto f = co_await azure::read_failure(
            {.op = call_.op, .is_head = call_.method == "HEAD", .local_time = local_time, .skew = skew_},
            std::move(response));
        blob_is_missing_ = f.code == "BlobNotFound";
        if (blob_is_missing_) core_.container_.note();
        co_return f;
    }

    [[nodiscard]] awaitable<bool> correct(const cloud::request_failure& f, deadline until) override {
        if (std::holds_alternative<shared_key>(core_.how_)) co_return core_.clock_.learn(f, skew_);
        const auto* const cache = std::get_if<token_cache>(&core_.how_);
        const bool about_token = f.kind == error_kind::bad_credentials || f.status == 401;
        if (!cache || !about_token || token_renewed_) co_return false;
        token_renewed_ = true;
        auto renewed = co_await (*cache)->renew(token_, until);
        if (!renewed) co_return false;
        token_ = std::move(*renewed);
        co_return true;
    }

    /// Returns whether the latest failure says that the blob is missing, and not its container.
    [[nodiscard]] bool blob_is_missing() const noexcept { return blob_is_missing_; }

  private:
    client_core& core_;
    const call& call_;
    const std::uint64_t body_size_;
    milliseconds skew_;
    cloud::credentials token_;
    bool token_renewed_ = false;
    bool blob_is_missing_ = false;
};

client_core::client_core(client_options options, authorization how, blob_address address, net::client http)
    : options_(std::move(options)),
      how_(std::move(how)),
      address_(std::move(address)),
      http_(std::move(http)),
      retries_(options_.retry),
      list_retries_(list_options_of(options_)) {}

awaitable<result<full_response>> client_core::run(call c, const response_check& check, retry_session& session,
                                                  deadline until) {
    const auto size = c.body.size();
    const auto threshold = options_.expect_continue_bytes_min;
    attempts all(*this, c, size);
    const cloud::call_parts parts{.service = azure_traits,
                                  .http = http_,
                                  .stats = stats_,
                                  .now = options_.now,
                                  .timing = {.connect = options_.connect_timeout,
                                             .first_byte = options_.read_timeout,
                                             .progress = options_.read_timeout}};
    cloud::call_outline outline{
        .operation = static_cast<std::size_t>(c.op),
        .name = to_string(c.op),
        .reads_body = c.op != operation::get && c.op != operation::get_range && c.method != "HEAD",
        .is_data = c.is_data,
        .expect_continue = c.is_data && threshold > 0 && size >= threshold,
        .body = std::move(c.body)};
    // A login page with status 200 is no success.
    const response_check of_azure = [&](const full_response& got) -> result<void> {
        if (!cloud::has_header_prefix(got.response, azure_traits.header_prefix)) {
            return cloud::lacks(azure_traits, "header of Azure");
        }
        return check(got);
    };
    auto got = co_await cloud::run_call(parts, std::move(outline), all, of_azure, session, until);
    if (got) {
        container_.note();
        co_return got;
    }
    const bool is_clear = all.blob_is_missing() || kind_of(got.error()) != error_kind::not_found;
    if (is_clear || c.op == operation::get_container) co_return got;
    co_return std::unexpected(co_await explain_missing(std::move(got.error()), until));
}

awaitable<result<client_core::copy_source>> client_core::make_copy_source(std::string key, deadline until) {
    const auto path = address_.path_of(key);
    copy_source out{.url = (address_.to.tls ? "https://" : "http://") + net::host_header(address_.to) + path};
    if (const auto* const account_key = std::get_if<shared_key>(&how_)) {
        const auto end = std::chrono::floor<std::chrono::seconds>(options_.now() + skew() + limits::azure_copy_access);
        out.url += "?" + cloud::canonical_query(
                             blob_signature({options_.account, options_.container, key, end}, *account_key));
    } else if (const auto* const sas = std::get_if<sas_token>(&how_)) {
        out.url += "?" + cloud::canonical_query(sas->parameters);
    } else {
        KS_CO_TRY(const auto token, co_await std::get<token_cache>(how_)->get(until));
        out.authorization = "Bearer " + token.keys.session_token.reveal();
    }
    co_return out;
}

awaitable<error> client_core::explain_missing(error not_found, deadline until) {
    if (container_.noted_within(limits::azure_container_seen_for)) co_return not_found;
    const response_check accept = [](const full_response&) { return success(); };
    retry_session session(retries_, until);
    call c{.op = operation::get_container, .method = "HEAD", .query = {{"restype", "container"}}};
    const auto got = co_await run(std::move(c), accept, session, until);
    if (got) co_return not_found;
    if (kind_of(got.error()) == error_kind::not_found) {
        co_return make_error(error_kind::no_such_bucket, "Azure get_container: 404");
    }
    // A shared access signature for the blobs of a container does not cover the container's properties.
    if (kind_of(got.error()) == error_kind::access_denied) co_return not_found;
    co_return got.error();
}

}  // namespace keepstore::azure
