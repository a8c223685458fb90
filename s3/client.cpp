#include "s3/client.hpp"

#include "net/http/text.hpp"
#include "s3/client_core.hpp"

namespace keepstore::s3 {

etag_evidence judge_etag(const put_result& stored, const md5_digest& sent) {
    const auto etag = md5_digest::parse(lower_case(stored.etag));
    if (etag == sent) return etag_evidence::confirms;
    return etag && !stored.etag_is_opaque ? etag_evidence::contradicts : etag_evidence::nothing;
}

client::client(std::shared_ptr<client_core> core) noexcept : core_(std::move(core)) {}

result<client> client::make(client_options options, std::shared_ptr<credentials_cache> keys) {
    if (options.region.empty()) {
        if (options.endpoint.empty()) return fail(errc::bad_request, "one of Endpoint and Region must be given");
        options.region = "us-east-1";
    }
    KS_TRY(auto address, make_bucket_address({.endpoint = options.endpoint,
                                              .region = options.region,
                                              .bucket = options.bucket,
                                              .path_style = options.path_style}));
    KS_TRY(auto http, cloud::make_http(options));
    return client(
        std::make_shared<client_core>(std::move(options), std::move(address), std::move(http), std::move(keys)));
}

const op_stats& client::stats() const noexcept {
    return core_->stats();
}

std::string client::region() const {
    return core_->region();
}
std::chrono::seconds client::clock_skew() const {
    return std::chrono::duration_cast<std::chrono::seconds>(core_->skew());
}

}  // namespace keepstore::s3
