#include "azure/blob_address.hpp"
#include "azure/client.hpp"
#include "digest/waypoints.hpp"
#include "keepctl/clone/clone_bucket.hpp"
#include "net/http/url.hpp"
#include "s3/limits.hpp"
#include "volumes/azure/access.hpp"
#include "volumes/azure/azure_volume.hpp"
#include "volumes/azure/blob_state.hpp"
#include "volumes/cloud/attribute.hpp"
#include "volumes/limits.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <utility>

namespace keepstore::keepctl {
namespace {

/// A container of Azure as one side of a clone. A blob has its own time and attributes, so there are no markers; what
/// is in the trash, or being written by the Go daemon, is left out (volumes/azure/blob_state.hpp).
class azure_container final : public clone_bucket {
  public:
    azure_container(const bucket_description& of, azure::client client, std::chrono::milliseconds write_race_interval)
        : clone_bucket(of), client_(std::move(client)), write_race_interval_(write_race_interval) {}

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
    /// Waypoints are added to the blob that put() has stored. They only speed up reads: where another request changes
    /// the blob at the same time it goes without.
    [[nodiscard]] awaitable<result<void>> mark(md5_digest name, std::optional<std::string> waypoints, std::string etag,
                                               deadline until) const override;
    [[nodiscard]] const cloud::op_stats& stats() const noexcept override { return client_.stats(); }

  private:
    /// The blob of a block that is not in the trash.
    [[nodiscard]] awaitable<result<cloud::object_info>> look_at(md5_digest name, deadline until) const;

    const azure::client client_;
    const std::chrono::milliseconds write_race_interval_;
};

namespace layout = volumes::azure;

std::string blob_waypoints_name() {
    return volumes::cloud::metadata_name(digest::waypoints_attribute, '_');
}

}  // namespace

result<std::unique_ptr<clone_bucket>> open_azure_container(std::string text, const volumes::azure_options& options) {
    KS_TRY(auto access, layout::make_access(options));
    KS_TRY(const auto address, azure::make_blob_address({.endpoint = access.client.endpoint,
                                                         .suffix = access.client.suffix,
                                                         .account = access.client.account,
                                                         .container = access.client.container}));
    KS_TRY(auto client, azure::client::make(std::move(access.client), std::move(access.keys)));
    // Azure copies between its accounts; an emulator, or an account with an address of its own, within that.
    auto service = "Azure " + (options.endpoint.empty() ? options.base_url : net::to_string(address.to));
    return std::make_unique<azure_container>(bucket_description{.text = std::move(text),
                                                                .service = std::move(service),
                                                                .bucket = options.account + "/" + options.container,
                                                                .has_markers = false},
                                             std::move(client), options.write_race_interval);
}

awaitable<result<cloud::list_page>> azure_container::list(s3::list_options where, deadline until) const {
    if (where.keys_max == 0) where.keys_max = limits::s3_list_keys_max;
    KS_CO_TRY(auto page, co_await client_.list(std::move(where), until));
    const auto now = std::chrono::system_clock::now() + client_.clock_skew();
    std::erase_if(page.objects, [&](const cloud::listed_object& blob) {
        const auto name = md5_digest::parse(blob.key);
        return name && (layout::is_trashed(blob.metadata) ||
                        layout::is_being_written(*name, blob.size, now - blob.last_modified, write_race_interval_));
    });
    // Waypoints are most of a page.
    for (auto& blob : page.objects) blob.metadata.clear();
    co_return page;
}

awaitable<result<cloud::object_download>> azure_container::get(object_kind kind, md5_digest name,
                                                               deadline until) const {
    KS_CO_TRY(auto blob, co_await client_.get(key_of(kind, name), {}, until));
    if (layout::is_trashed(blob.info().metadata)) co_return fail(errc::not_found);
    co_return blob;
}

awaitable<result<cloud::object_info>> azure_container::look_at(md5_digest name, deadline until) const {
    KS_CO_TRY(auto blob, co_await client_.head(key_of(object_kind::block, name), until));
    if (layout::is_trashed(blob.metadata)) co_return fail(errc::not_found);
    co_return blob;
}

awaitable<result<std::string>> azure_container::validator_of(object_kind, md5_digest name, deadline until) const {
    KS_CO_TRY(const auto blob, co_await look_at(name, until));
    co_return blob.etag;
}

awaitable<result<stored_copy>> azure_container::put(object_kind kind, md5_digest name, cloud::upload_body body,
                                                    deadline until) const {
    azure::put_options how;
    how.md5 = name;
    KS_CO_TRY(auto stored, co_await client_.put(key_of(kind, name), std::move(body), std::move(how), until));
    co_return stored_copy{.etag = std::move(stored.etag)};
}

awaitable<result<stored_copy>> azure_container::copy(const clone_bucket& from, object_kind kind, md5_digest name,
                                                     std::string if_match, deadline until) const {
    const auto& source = static_cast<const azure_container&>(from);  // Of the same service.
    auto copied = co_await client_.copy(source.client_, source.key_of(kind, name), key_of(kind, name),
                                        {.if_match = std::move(if_match), .md5 = name}, until);
    if (copied) co_return stored_copy{.etag = std::move(copied->etag)};
    const auto problem = cloud::kind_of(copied.error());
    if (problem == cloud::error_kind::bad_digest)
        co_return fail(errc::checksum_mismatch, source.text + ": the blob is not the block");
    // A source that may not be read may look like a missing one, and the other way round.
    const bool missing = problem == cloud::error_kind::not_found;
    if (missing || problem == cloud::error_kind::access_denied) KS_CO_CHECK(co_await source.look_at(name, until));
    if (missing)
        co_return std::unexpected(
            azure::make_error(cloud::error_kind::access_denied, "Azure copy: the source may not be read"));
    co_return std::unexpected(std::move(copied.error()));
}

awaitable<result<std::optional<std::string>>> azure_container::waypoints_of(md5_digest name, deadline until) const {
    KS_CO_TRY(const auto blob, co_await look_at(name, until));
    const auto found = blob.find_metadata(blob_waypoints_name());
    if (!found) co_return std::nullopt;
    co_return std::optional<std::string>(*found);
}

awaitable<result<void>> azure_container::mark(md5_digest name, std::optional<std::string> waypoints, std::string etag,
                                              deadline until) const {
    if (!waypoints || etag.empty()) co_return success();
    const auto added = co_await client_.set_metadata(key_of(object_kind::block, name),
                                                     {{blob_waypoints_name(), std::move(*waypoints)}},
                                                     {.if_match = std::move(etag)}, until);
    if (!added && added.error() == errc::cancelled) co_return std::unexpected(added.error());
    co_return success();
}

}  // namespace keepstore::keepctl
