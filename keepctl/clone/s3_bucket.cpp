#include "base/text.hpp"
#include "digest/waypoints.hpp"
#include "keepctl/clone/clone_bucket.hpp"
#include "net/http/url.hpp"
#include "s3/bucket_address.hpp"
#include "volumes/cloud/attribute.hpp"
#include "volumes/limits.hpp"
#include "volumes/s3/access.hpp"
#include "volumes/s3/s3_volume.hpp"

#include <memory>
#include <string>
#include <utility>

namespace keepstore::keepctl {
namespace {

/// A bucket of S3 as one side of a clone.
class s3_bucket final : public clone_bucket {
  public:
    s3_bucket(const bucket_description& of, s3::client client) : clone_bucket(of), client_(std::move(client)) {}

    [[nodiscard]] awaitable<result<cloud::list_page>> list(s3::list_options where, deadline until) const override;
    [[nodiscard]] awaitable<result<cloud::object_download>> get(object_kind kind, md5_digest name,
                                                                deadline until) const override;
    [[nodiscard]] awaitable<result<std::string>> validator_of(object_kind kind, md5_digest name,
                                                              deadline until) const override;
    [[nodiscard]] awaitable<result<stored_copy>> put(object_kind kind, md5_digest name, cloud::upload_body body,
                                                     deadline until) const override;
    [[nodiscard]] awaitable<result<stored_copy>> copy(const clone_bucket& from, object_kind kind, md5_digest name,
                                                      std::string if_match, deadline until) const override;
    [[nodiscard]] awaitable<result<std::optional<std::string>>> waypoints_of(md5_digest name,
                                                                             deadline until) const override;
    [[nodiscard]] awaitable<result<void>> mark(md5_digest name, std::optional<std::string> waypoints, std::string etag,
                                               deadline until) const override;
    [[nodiscard]] const cloud::op_stats& stats() const noexcept override { return client_.stats(); }

  private:
    const s3::client client_;
};

std::string waypoints_name() {
    return volumes::cloud::metadata_name(digest::waypoints_attribute, '-');
}

}  // namespace

result<s3::client> make_bucket_client(const volumes::s3_options& options) {
    KS_TRY(auto access, volumes::s3::make_access(options));
    return s3::client::make(std::move(access.client), std::move(access.keys));
}

result<std::unique_ptr<clone_bucket>> open_s3_bucket(std::string text, const volumes::s3_options& options) {
    KS_TRY(auto client, make_bucket_client(options));
    KS_TRY(const auto address,
           s3::make_bucket_address(
               {.endpoint = options.endpoint, .region = options.region, .bucket = options.bucket, .path_style = true}));
    // Amazon copies between its regions.
    auto service = s3::is_amazon_host(address.to.host) ? std::string("Amazon S3") : net::to_string(address.to);
    return std::make_unique<s3_bucket>(bucket_description{.text = std::move(text),
                                                          .service = std::move(service),
                                                          .bucket = options.bucket,
                                                          .names = volumes::s3::object_names(options.prefix_length)},
                                       std::move(client));
}

awaitable<result<cloud::list_page>> s3_bucket::list(s3::list_options where, deadline until) const {
    co_return co_await client_.list(std::move(where), until);
}

awaitable<result<cloud::object_download>> s3_bucket::get(object_kind kind, md5_digest name, deadline until) const {
    co_return co_await client_.get(key_of(kind, name), {}, until);
}

awaitable<result<std::string>> s3_bucket::validator_of(object_kind kind, md5_digest name, deadline until) const {
    KS_CO_TRY(const auto info, co_await client_.head(key_of(kind, name), until));
    co_return info.validator();
}

awaitable<result<stored_copy>> s3_bucket::put(object_kind kind, md5_digest name, cloud::upload_body body,
                                              deadline until) const {
    s3::put_options how;
    how.md5 = name;
    KS_CO_TRY(auto stored, co_await client_.put(key_of(kind, name), std::move(body), std::move(how), until));
    stored_copy out{.md5 = stored.etag_is_opaque ? std::nullopt : md5_digest::parse(lower_case(stored.etag))};
    out.etag = std::move(stored.etag);
    co_return out;
}

awaitable<result<stored_copy>> s3_bucket::copy(const clone_bucket& from, object_kind kind, md5_digest name,
                                               std::string if_match, deadline until) const {
    KS_CO_TRY(auto copied, co_await client_.copy(from.key_of(kind, name), key_of(kind, name),
                                                 {.from_bucket = from.bucket, .if_match = std::move(if_match)}, until));
    const auto md5 = md5_digest::parse(lower_case(copied.etag));
    co_return stored_copy{.etag = std::move(copied.etag), .md5 = md5};
}

awaitable<result<std::optional<std::string>>> s3_bucket::waypoints_of(md5_digest name, deadline until) const {
    KS_CO_TRY(const auto marker, co_await client_.head(key_of(object_kind::marker, name), until));
    const auto found = marker.find_metadata(waypoints_name());
    if (!found) co_return std::nullopt;
    co_return std::optional<std::string>(*found);
}

awaitable<result<void>> s3_bucket::mark(md5_digest name, std::optional<std::string> waypoints, std::string,
                                        deadline until) const {
    s3::put_options how;
    if (waypoints) how.metadata.emplace_back(waypoints_name(), std::move(*waypoints));
    KS_CO_CHECK(co_await client_.put(key_of(object_kind::marker, name), {}, std::move(how), until));
    co_return success();
}

}  // namespace keepstore::keepctl
