#include "s3/client.hpp"

#include "net/http/text.hpp"
#include "s3/client_core.hpp"
#include "cloud/download.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace keepstore::s3 {

std::optional<std::string_view> object_info::find_metadata(std::string_view name) const {
    const auto found =
        std::ranges::find(metadata, name, [](const auto& entry) { return std::string_view(entry.first); });
    if (found == metadata.end()) return std::nullopt;
    return found->second;
}

etag_evidence judge_etag(const put_result& stored, const md5_digest& sent) {
    const auto etag = md5_digest::parse(lower_case(stored.etag));
    if (etag == sent) return etag_evidence::confirms;
    return etag && !stored.etag_is_opaque ? etag_evidence::contradicts : etag_evidence::nothing;
}

std::optional<md5_digest> object_info::etag_as_md5() const {
    return md5_digest::parse(etag);
}

std::uint64_t upload_body::size() const {
    if (source) return source->size();
    std::uint64_t sum = 0;
    for (const auto& slice : slices) sum += slice.size();
    return sum;
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
    KS_TRY(auto http, net::client::make({.connections_max = options.connections_max,
                                         .ca_file = options.ca_file,
                                         .tls_insecure = options.tls_insecure,
                                         .proxies = options.proxies,
                                         .hosts = options.hosts}));
    return client(
        std::make_shared<client_core>(std::move(options), std::move(address), std::move(http), std::move(keys)));
}

awaitable<result<object_download>> client::get(this client self, std::string key, get_options options, deadline until) {
    if (options.range && options.range->length && *options.range->length == 0) {
        co_return fail(errc::bad_request, "an empty range");
    }
    auto state = std::make_unique<object_download::state>(std::move(self.core_), std::move(key), until);
    KS_CO_CHECK(co_await state->open(options.range, std::move(options.if_match)));
    // Nothing to read: gives the connection back.
    if (state->length == 0) state->response.reset();
    co_return object_download(std::move(state));
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
