#include "volumes/azure/index_scan.hpp"

#include <utility>
#include <vector>

namespace keepstore::volumes::azure {

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

}  // namespace keepstore::volumes::azure
