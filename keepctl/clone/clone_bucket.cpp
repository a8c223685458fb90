#include "keepctl/clone/clone_bucket.hpp"

#include "s3/bucket_address.hpp"
#include "volumes/s3/access.hpp"

#include <utility>

namespace keepstore::keepctl {

result<clone_bucket> open_clone_bucket(std::string text, const volumes::s3_options& options) {
    KS_TRY(auto access, volumes::s3::make_access(options));
    KS_TRY(const auto service,
           s3::make_bucket_address(
               {.endpoint = options.endpoint, .region = options.region, .bucket = options.bucket, .path_style = true}));
    KS_TRY(auto client, s3::client::make(std::move(access.client), std::move(access.keys)));
    return clone_bucket{.text = std::move(text),
                        .bucket = options.bucket,
                        .service = service.to,
                        .names = volumes::s3::object_names(options.prefix_length),
                        .client = std::move(client)};
}

bool same_service(const clone_bucket& a, const clone_bucket& b) {
    return a.service == b.service || (s3::is_amazon_host(a.service.host) && s3::is_amazon_host(b.service.host));
}

bool same_bucket(const clone_bucket& a, const clone_bucket& b) {
    return same_service(a, b) && a.bucket == b.bucket;
}

std::string key_of(const clone_bucket& of, object_kind kind, const md5_digest& name) {
    switch (kind) {
        case object_kind::marker:
            return of.names.recent(name);
        case object_kind::trash:
            return of.names.trash(name);
        case object_kind::block:
            break;
    }
    return of.names.block(name);
}

}  // namespace keepstore::keepctl
