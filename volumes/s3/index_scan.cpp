#include "volumes/cloud/parallel_listing.hpp"
#include "volumes/s3/s3_core.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace keepstore::volumes::s3 {
namespace {

/// Iterates over one listing, key by key.
class lister {
  public:
    lister(s3_core& core, std::string prefix, deadline until)
        : core_(core), where_{.prefix = std::move(prefix), .keys_max = core.options.index_page_size}, until_(until) {}

    /// Loads the next page if need be: makes current() valid, or null at the end of the listing.
    [[nodiscard]] awaitable<result<void>> load() {
        while (at_ == page_.objects.size() && (!begun_ || page_.truncated)) {
            if (begun_) where_.continue_after(page_);
            KS_CO_TRY(page_, co_await core_.list(where_, until_));
            at_ = 0;
            begun_ = true;
        }
        co_return success();
    }
    [[nodiscard]] const protocol::listed_object* current() const noexcept {
        return at_ < page_.objects.size() ? &page_.objects[at_] : nullptr;
    }
    [[nodiscard]] bool page_is_used_up() const noexcept { return at_ == page_.objects.size(); }
    [[nodiscard]] bool more_pages() const noexcept { return page_.truncated; }
    void advance() noexcept { ++at_; }

  private:
    s3_core& core_;
    protocol::list_options where_;
    const deadline until_;
    protocol::list_page page_;
    std::size_t at_ = 0;
    bool begun_ = false;
};

}  // namespace

awaitable<result<bool>> s3_core::needs_pages(std::string digits, deadline until) {
    lister blocks(*this, names.key_of_digits(digits), until);
    KS_CO_CHECK(co_await blocks.load());
    co_return blocks.more_pages();
}

// Merges the listings of blocks and markers by key.
awaitable<result<void>> s3_core::list_range(cloud::parallel_listing& into, std::string digits) {
    const auto prefix = names.key_of_digits(digits);
    lister blocks(*this, prefix, into.until());
    lister markers(*this, std::string(object_names::recent_folder) + prefix, into.until());
    std::vector<block_info> batch;
    while (true) {
        KS_CO_CHECK(co_await blocks.load());
        const auto* const block = blocks.current();
        // Markers and trash come after all blocks: "recent/", "trash/" > "f...".
        if (!block || block->key >= "g") break;
        const auto name = names.parse(block->key);
        if (!name) {
            into.note_foreign(block->key);
            blocks.advance();
            continue;
        }
        auto modified = observed(block->key, block->last_modified);
        while (true) {
            KS_CO_CHECK(co_await markers.load());
            const auto* const marker = markers.current();
            if (!marker) break;
            const auto marked = std::string_view(marker->key).substr(object_names::recent_folder.size());
            if (marked > block->key) break;
            if (marked == block->key) modified = observed(marker->key, marker->last_modified);
            markers.advance();
        }
        batch.push_back({*name, block->size, block_time(modified)});
        blocks.advance();
        if (blocks.page_is_used_up()) {
            KS_CO_CHECK(co_await into.put(std::exchange(batch, {})));
        }
    }
    co_return co_await into.put(std::move(batch));
}

}  // namespace keepstore::volumes::s3
