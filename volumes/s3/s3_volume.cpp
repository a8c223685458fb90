#include "volumes/s3/s3_volume.hpp"

#include "base/log.hpp"
#include "volumes/cloud/cloud_volume.hpp"
#include "volumes/cloud/prober.hpp"
#include "volumes/s3/access.hpp"
#include "volumes/s3/s3_core.hpp"

#include <utility>

namespace keepstore::volumes {
namespace {

using namespace s3;
using bucket_prober = cloud::prober<keepstore::s3::client>;

// What a volume is made of that can be refused.
struct s3_parts {
    std::shared_ptr<bucket_prober> prober;
    keepstore::s3::client client;
};

result<s3_parts> make_parts(const s3_options& options) {
    KS_TRY(auto access, make_access(options));
    KS_TRY(const auto via, proxy_of(options));
    if (!via.empty()) log::info("S3 requests go through a proxy", {{"bucket", options.bucket}, {"proxy", via}});
    KS_TRY(auto prober, bucket_prober::make(access, options.writable));
    KS_TRY(auto client, keepstore::s3::client::make(std::move(access.client), std::move(access.keys)));
    return s3_parts{.prober = std::move(prober), .client = std::move(client)};
}

}  // namespace

result<void> check_s3_volume(const s3_options& options) {
    KS_CHECK(make_parts(options));
    return success();
}

result<std::unique_ptr<volume>> open_s3_volume(s3_options options) {
    KS_TRY(auto parts, make_parts(options));
    auto core = std::make_shared<s3_core>(std::move(options), std::move(parts.client));
    if (core->options.writable) {
        static_cast<void>(core->loops.spawn<void>(core->abort_orphan_uploads(), [](const result<void>&) {}));
    }
    return std::make_unique<cloud::cloud_volume>(core, bucket_prober::probing_by(parts.prober),
                                                 "s3://" + core->options.endpoint + "/" + core->options.bucket);
}

}  // namespace keepstore::volumes
