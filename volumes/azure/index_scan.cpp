#include "volumes/azure/azure_core.hpp"
#include "volumes/cloud/parallel_listing.hpp"

#include <string>
#include <utility>
#include <vector>

namespace keepstore::volumes::azure {

awaitable<result<bool>> azure_core::needs_pages(std::string digits, deadline until) {
    KS_CO_TRY(const auto page, co_await list({.prefix = std::move(digits), .keys_max = options.list_keys_max}, until));
    co_return page.truncated;
}

awaitable<result<void>> azure_core::list_range(cloud::parallel_listing& into, std::string digits) {
    service::list_options where{.prefix = std::move(digits), .keys_max = options.list_keys_max};
    while (true) {
        KS_CO_TRY(const auto page, co_await list(where, into.until()));
        std::vector<block_info> batch;
        for (const auto& blob : page.objects) {
            const auto name = md5_digest::parse(blob.key);
            if (!name) into.note_foreign(blob.key);
            if (!name || is_trashed(blob.metadata)) continue;
            const auto modified = observed(blob.key, blob.last_modified);
            if (is_being_written(*name, blob.size, modified)) continue;
            batch.push_back({*name, blob.size, block_time(modified)});
        }
        KS_CO_CHECK(co_await into.put(std::move(batch)));
        if (!page.truncated) co_return success();
        where.continue_after(page);
    }
}

}  // namespace keepstore::volumes::azure
