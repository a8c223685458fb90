#include "volumes/azure/azure_core.hpp"
#include "volumes/cloud/parallel_listing.hpp"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace keepstore::volumes::azure {
namespace {

/// The index of a container: the blobs that are blocks and not in the trash.
class index_scan final : public cloud::parallel_listing {
  public:
    /// \param digits  lower-case hex, at most 32.
    index_scan(const std::shared_ptr<azure_core>& core, std::string digits, deadline until)
        : parallel_listing(core->loops, std::move(digits), until, core->options.parallel_index), core_(core) {}

  protected:
    [[nodiscard]] awaitable<result<bool>> needs_pages(std::string digits) override;
    [[nodiscard]] awaitable<result<void>> list_range(std::string digits) override;

  private:
    const std::shared_ptr<azure_core> core_;
};

}  // namespace

awaitable<result<bool>> index_scan::needs_pages(std::string digits) {
    KS_CO_TRY(const auto page,
              co_await core_->list({.prefix = std::move(digits), .keys_max = core_->options.list_keys_max}, until()));
    co_return page.truncated;
}

awaitable<result<void>> index_scan::list_range(std::string digits) {
    service::list_options where{.prefix = std::move(digits), .keys_max = core_->options.list_keys_max};
    while (true) {
        KS_CO_TRY(const auto page, co_await core_->list(where, until()));
        std::vector<block_info> batch;
        for (const auto& blob : page.objects) {
            const auto name = md5_digest::parse(blob.key);
            if (!name) note_foreign(blob.key);
            if (!name || is_trashed(blob.metadata)) continue;
            const auto modified = core_->observed(blob.key, blob.last_modified);
            if (core_->is_being_written(*name, blob.size, modified)) continue;
            batch.push_back({*name, blob.size, block_time(modified)});
        }
        KS_CO_CHECK(co_await put(std::move(batch)));
        if (!page.truncated) co_return success();
        where.continue_after(page);
    }
}

std::shared_ptr<cloud::parallel_listing> azure_core::make_listing(std::string digits, deadline until) {
    return std::make_shared<index_scan>(shared_from_this(), std::move(digits), until);
}

}  // namespace keepstore::volumes::azure
