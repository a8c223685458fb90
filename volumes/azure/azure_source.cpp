#include "volumes/azure/azure_core.hpp"
#include "volumes/cloud/object_source.hpp"

#include <memory>
#include <optional>
#include <utility>

namespace keepstore::volumes::azure {
namespace {

/// Downloads of one block of a container. The metadata come with the block: no request of their own.
class azure_source final : public cloud::object_source {
  public:
    azure_source(std::shared_ptr<azure_core> core, cloud::download_target what)
        : core_(std::move(core)), what_(std::move(what)) {}

    /// A blob that another program is just writing is waited for, if the target says so; else it counts as missing.
    [[nodiscard]] awaitable<result<protocol::object_download>> open(
        std::optional<protocol::byte_range> range) override {
        if (what_.opened) {
            KS_CO_TRY(auto body, co_await get_opened(range, *what_.opened));
            found_ = body.info();
            co_return std::move(body);
        }
        while (true) {
            {
                KS_CO_TRY(auto body, co_await get(range, {}));
                const auto& info = body.info();
                if (is_trashed(info.metadata)) co_return fail(errc::not_found);
                const bool being_written = core_->is_being_written(
                    what_.name, info.size, core_->observed(what_.name.hex(), info.last_modified));
                if (!being_written) {
                    found_ = info;
                    co_return std::move(body);
                }
                if (!what_.fix_race) co_return fail(errc::not_found);
            }
            KS_CO_CHECK(co_await pause_for(core_->options.write_race_poll_time));
        }
    }

    [[nodiscard]] awaitable<result<protocol::object_download>> open_range(protocol::byte_range range) override {
        return get_opened(range, found_);
    }

    [[nodiscard]] awaitable<result<protocol::name_values>> metadata(deadline) override { co_return found_.metadata; }

  private:
    [[nodiscard]] awaitable<result<protocol::object_download>> get(std::optional<protocol::byte_range> range,
                                                                   std::string if_match) {
        const cloud::circuit_breaker::pending_call pending(*core_->breaker);
        co_return core_->noted(co_await core_->client.get(
            what_.name.hex(), {.range = range, .if_match = std::move(if_match)}, deadline::never()));
    }

    /// Gets the blob that `opened` describes, which may have been touched, trashed or untrashed meanwhile.
    /// A blob that was written again has the block's content, as far as it is known here; readers verify it like any
    /// other.
    [[nodiscard]] awaitable<result<protocol::object_download>> get_opened(std::optional<protocol::byte_range> range,
                                                                          const protocol::object_info& opened) {
        auto body = co_await get(range, opened.validator());
        if (body || kind_of(body.error()) != error_kind::precondition) co_return body;
        // Each change of the metadata gives the blob another ETag.
        body = co_await get(range, {});
        if (body && (body->info().size != opened.size || body->info().content_md5 != opened.content_md5))
            co_return fail(errc::io_error, "the block was replaced while it was read");
        co_return body;
    }

    const std::shared_ptr<azure_core> core_;
    const cloud::download_target what_;
    protocol::object_info found_;  ///< Set by open(), before the others are called.
};

}  // namespace

std::shared_ptr<cloud::object_source> azure_core::make_source(cloud::download_target what) {
    return std::make_shared<azure_source>(shared_from_this(), std::move(what));
}

}  // namespace keepstore::volumes::azure
