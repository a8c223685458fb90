#include "volumes/cloud/object_source.hpp"
#include "volumes/s3/s3_core.hpp"
#include "volumes/s3/shared_marker.hpp"

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace keepstore::volumes::s3 {
namespace {

/// Downloads of one block of a bucket: from the trash if it was trashed while it is being read, and after a race of PUT
/// or TOUCH with trash brought back first. Its metadata are those of its marker.
class s3_source final : public cloud::object_source {
  public:
    s3_source(std::shared_ptr<s3_core> core, cloud::download_target what)
        : core_(std::move(core)), what_(std::move(what)), marker_(std::make_shared<shared_marker>(core_, what_.name)) {}

    [[nodiscard]] awaitable<result<protocol::object_download>> open(
        std::optional<protocol::byte_range> range) override {
        const cloud::circuit_breaker::pending_call pending(*core_->breaker);
        protocol::get_options how{.range = range, .if_match = {}};
        if (what_.opened) {
            how.if_match = what_.opened->validator();
            how.size = what_.opened->size;
        }
        auto body = co_await get(core_->names.block(what_.name), how);
        if (body) co_return body;
        const auto kind = kind_of(body.error());
        if (!how.if_match.empty()) {
            // Trashed meanwhile, or replaced: the object that was opened may be in the trash.
            if (kind != error_kind::not_found && kind != error_kind::precondition) co_return body;
            auto trashed = co_await get(core_->names.trash(what_.name), how);
            if (trashed) co_return trashed;
            co_return fail(errc::io_error, "the block was replaced while it was read");
        }
        if (kind != error_kind::not_found || !what_.fix_race) co_return body;
        if (co_await never_marked(deadline::never())) co_return body;
        KS_CO_TRY(const bool fixed, co_await core_->fix_race(what_.name, deadline::never()));
        if (!fixed) co_return body;
        co_return co_await get(core_->names.block(what_.name), how);
    }

    // An object with the block's name has its content, as far as it is known here; readers verify it like any other.
    [[nodiscard]] awaitable<result<protocol::object_download>> open_range(protocol::byte_range range) override {
        const auto until = deadline::never();
        auto body = co_await core_->client.get(
            key_, {.range = range, .if_match = found_.validator(), .size = found_.size}, until);
        const auto kind = body ? error_kind::precondition : kind_of(body.error());
        // Not every service honours If-Match.
        if (body && body->info().etag == found_.etag) co_return body;
        if (kind != error_kind::precondition && kind != error_kind::not_found) co_return body;
        const auto key = kind == error_kind::not_found ? core_->names.trash(what_.name) : key_;
        body = co_await core_->client.get(key, {.range = range, .if_match = {}}, until);
        if (body && body->info().size != found_.size)
            co_return fail(errc::io_error, "the block was replaced while it was read");
        co_return body;
    }

    void prefetch_metadata() override { marker_->prefetch(); }
    [[nodiscard]] awaitable<result<protocol::name_values>> metadata(deadline until) override {
        const auto marker = marker_;
        KS_CO_TRY(auto recent, co_await marker->get(until));
        co_return std::move(recent.metadata);
    }

  private:
    [[nodiscard]] awaitable<result<protocol::object_download>> get(std::string key, protocol::get_options how) {
        KS_CO_TRY(auto body, core_->noted(co_await core_->client.get(key, std::move(how), deadline::never())));
        key_ = std::move(key);
        found_ = body.info();
        co_return std::move(body);
    }

    // Whether a marker that was requested concurrently with the block says that there is no race to be fixed.
    [[nodiscard]] awaitable<bool> never_marked(deadline until) const {
        if (!marker_->requested()) co_return false;
        const auto recent = co_await marker_->get(until.within(limits::cloud_call_timeout));
        co_return !recent && recent.error() == errc::not_found;
    }

    const std::shared_ptr<s3_core> core_;
    const cloud::download_target what_;
    const std::shared_ptr<shared_marker> marker_;
    // Set by open(), before open_range() is called.
    std::string key_;  ///< Where the object was found.
    protocol::object_info found_;
};

}  // namespace

std::shared_ptr<cloud::object_source> s3_core::make_source(cloud::download_target what) {
    return std::make_shared<s3_source>(shared_from_this(), std::move(what));
}

}  // namespace keepstore::volumes::s3
