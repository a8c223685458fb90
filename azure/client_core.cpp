#include "azure/client_core.hpp"

#include "azure/limits.hpp"
#include "azure/request_failure.hpp"
#include "azure/shared_key.hpp"
#include "cloud/time.hpp"

#include <fmt/format.h>

#include <utility>

namespace keepstore::azure {
namespace {

cloud::retry_options list_options_of(const client_options& options) {
    auto out = options.retry;
    out.attempts_max = options.list_attempts_max;
    out.throttled_base = options.list_retry_delay;
    out.wait_max = options.list_retry_delay;
    return out;
}

cloud::credentials_cache* tokens_of(const authorization& how) {
    const auto* const cache = std::get_if<token_cache>(&how);
    return cache ? cache->get() : nullptr;
}

}  // namespace

constinit const cloud::service_traits azure_traits{.name = "Azure",
                                                   .header_prefix = "x-ms-",
                                                   .metadata_prefix = "x-ms-meta-",
                                                   .request_id = "x-ms-request-id",
                                                   .get = operation::get,
                                                   .get_range = operation::get_range,
                                                   .head = operation::get_properties,
                                                   .make_error = make_error};

/// Token, clock and latest failure of a call's attempts.
class client_core::attempts final : public cloud::call_attempts {
  public:
    attempts(client_core& core, const call& c) : call_attempts(c, tokens_of(core.how_), core.skew()), core_(core) {}

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
            const unsigned_request request{call_.method, path, query, headers, call_.body.size()};
            headers.emplace_back("authorization", authorization_header(request, core_.options_.account, *key));
        } else if (const auto* const sas = std::get_if<sas_token>(&core_.how_)) {
            query.insert(query.end(), sas->parameters.begin(), sas->parameters.end());
        } else {
            headers.emplace_back("authorization", "Bearer " + keys_.keys.session_token.reveal());
        }
        net::request out;
        out.method = call_.method;
        out.to = core_.address_.to;
        out.target = query.empty() ? path : path + "?" + cloud::canonical_query(query);
        for (auto& [name, value] : headers) out.headers.push_back({std::move(name), std::move(value)});
        return out;
    }

    [[nodiscard]] awaitable<cloud::request_failure> read_failure(cloud::failed_request request,
                                                                 net::response response) override {
        auto f = co_await azure::read_failure(request, skew_, std::move(response));
        blob_is_missing_ = f.code == "BlobNotFound";
        if (blob_is_missing_) core_.place_.note();
        co_return f;
    }

    [[nodiscard]] awaitable<bool> correct(const cloud::request_failure& f, deadline until) override {
        if (std::holds_alternative<shared_key>(core_.how_)) co_return core_.clock_.learn(f, skew_);
        if (f.kind != error_kind::bad_credentials && f.status != 401) co_return false;
        co_return co_await renew_keys(until);
    }

    /// Returns whether the latest failure says that the blob is missing, and not its container.
    [[nodiscard]] bool blob_is_missing() const noexcept { return blob_is_missing_; }

  private:
    client_core& core_;
    bool blob_is_missing_ = false;
};

client_core::client_core(client_options options, authorization how, blob_address address, net::client http)
    : call_runner(azure_traits, stats_texts, options, std::move(http)),
      options_(std::move(options)),
      how_(std::move(how)),
      address_(std::move(address)),
      list_retries_(list_options_of(options_)) {}

awaitable<result<full_response>> client_core::run(call c, const response_check& check, retry_session& session,
                                                  deadline until) {
    attempts all(*this, c);
    // A login page with status 200 is no success.
    const response_check of_azure = [&](const full_response& got) -> result<void> {
        if (!cloud::has_header_prefix(got.response, azure_traits.header_prefix)) {
            return cloud::lacks(azure_traits, "header of Azure");
        }
        return check(got);
    };
    auto got = co_await run_attempts(c, all, of_azure, session, until);
    const bool is_clear = got || all.blob_is_missing() || kind_of(got.error()) != error_kind::not_found;
    if (is_clear || c.op == operation::get_container) co_return got;
    co_return std::unexpected(co_await call_runner::explain_missing(std::move(got.error()), until));
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

}  // namespace keepstore::azure
