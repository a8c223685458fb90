#include "base/log.hpp"
#include "volumes/azure/azure_core.hpp"
#include "volumes/cloud/compare_body.hpp"
#include "volumes/cloud/upload_target.hpp"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace keepstore::volumes::azure {
namespace {

/// Writes one block to a container, by one request that carries the MD5 for the service to check. A small block does
/// not overwrite a good copy.
class azure_target final : public cloud::upload_target {
  public:
    azure_target(std::shared_ptr<azure_core> core, md5_digest name) : core_(std::move(core)), name_(name) {}

    /// An equal copy that is there, in the trash as well, is touched and taken out of the trash; a corrupt one is
    /// replaced; a different block with this MD5 is errc::collision. One request if there is no copy. Where blocks are
    /// not compared (azure_core::compares), one request in any case.
    [[nodiscard]] awaitable<result<void>> store(std::vector<const_slice> slices, protocol::name_values metadata,
                                                deadline until) override {
        const bool compares = core_->compares(protocol::upload_body{.slices = slices}.size());
        for (int attempt = 0; compares && attempt < limits::azure_change_attempts_max; ++attempt) {
            auto stored = co_await core_->put(name_, {.slices = slices},
                                              {.metadata = metadata, .only = {.if_absent = true}}, until);
            if (stored) co_return success();
            if (kind_of(stored.error()) != error_kind::precondition)
                co_return std::unexpected(std::move(stored.error()));
            KS_CO_TRY(auto there, co_await look(slices, until));
            if (!there) continue;  // Deleted meanwhile.
            if (there->what == cloud::stored_copy::other) {
                log::error("hash collision: a different block with the same MD5 is stored",
                           {{"block", name_.hex()}, {"container", core_->options.container}});
                co_return fail(errc::collision);
            }
            if (there->what == cloud::stored_copy::corrupt) {
                if (there->info.size > 0) {
                    log::warning("a stored block is corrupt: its data does not match its MD5; replacing it",
                                 {{"block", name_.hex()}, {"container", core_->options.container}});
                }
                break;
            }
            auto renewed = co_await core_->set_metadata(
                name_, touched(std::move(there->info.metadata), core_->this_second()), there->info.etag, until);
            if (renewed) co_return success();
            const auto kind = kind_of(renewed.error());
            // It was changed, or deleted, since it was looked at.
            if (kind != error_kind::precondition && kind != error_kind::not_found)
                co_return std::unexpected(std::move(renewed.error()));
        }
        KS_CO_CHECK(
            co_await core_->put(name_, {.slices = std::move(slices)}, {.metadata = std::move(metadata)}, until));
        co_return success();
    }

    [[nodiscard]] awaitable<result<void>> store_stream(net::body_source& source, deadline until) override {
        KS_CO_TRY(auto stored, co_await core_->put(name_, {.source = &source}, {}, until));
        etag_ = std::move(stored.etag);
        co_return success();
    }

    /// Adds the metadata, which are known at the end of a stream only, by a request of their own.
    [[nodiscard]] awaitable<result<void>> publish(protocol::name_values metadata, deadline until) override {
        if (metadata.empty()) co_return success();
        auto added = co_await core_->set_metadata(name_, std::move(metadata), etag_, until);
        // Attributes only speed up reads: an error here, or another change of the blob, is no reason to refuse a block
        // that is stored.
        if (!added && added.error() == errc::cancelled) co_return std::unexpected(std::move(added.error()));
        co_return success();
    }

  private:
    struct stored_blob {
        cloud::stored_copy what;
        protocol::object_info info;
    };
    [[nodiscard]] awaitable<result<std::optional<azure_target::stored_blob>>> look(
        const std::vector<const_slice>& slices, deadline until) {
        const cloud::circuit_breaker::pending_call pending(*core_->breaker);
        auto body = core_->noted(co_await core_->client.get(name_.hex(), {}, until));
        if (!body && body.error() == errc::not_found) co_return std::nullopt;
        if (!body) co_return std::unexpected(std::move(body.error()));
        auto info = body->info();
        KS_CO_TRY(const auto what, co_await cloud::compare_body(*core_, std::move(*body), name_, slices));
        co_return stored_blob{.what = what, .info = std::move(info)};
    }

    const std::shared_ptr<azure_core> core_;
    const md5_digest name_;
    std::string etag_;  ///< Of what store_stream() has stored.
};

}  // namespace

std::unique_ptr<cloud::upload_target> azure_core::make_target(const md5_digest& name) {
    return std::make_unique<azure_target>(shared_from_this(), name);
}

}  // namespace keepstore::volumes::azure
