#include "volumes/cloud/open_body.hpp"

#include "volumes/cloud/limits.hpp"
#include "volumes/cloud/volume_core.hpp"

#include <algorithm>
#include <utility>

namespace keepstore::volumes::cloud {

bool range_is_at_fault(const error& why) {
    const auto kind = kind_of(why);
    return kind == error_kind::invalid_range || kind == error_kind::unsupported || kind == error_kind::invalid;
}

awaitable<result<std::unique_ptr<block_body>>> open_body(const std::shared_ptr<volume_core>& core,
                                                         const download_target& what,
                                                         const std::shared_ptr<object_source>& source,
                                                         std::optional<multipart_policy::transfer>& transfer) {
    std::optional<protocol::byte_range> asked;
    if (what.offset > 0 || what.length) asked = protocol::byte_range{what.offset, what.length};
    std::optional<part_buffers::share> buffers;
    if (transfer && (transfer->mode() == transfer_mode::parts || core->setup.always_parts)) {
        if (auto joined = core->download_buffers.join())
            buffers.emplace(std::move(*joined));
        else
            transfer->go_whole();
    }
    if (!buffers) {
        KS_CO_TRY(auto all, co_await source->open(asked));
        co_return std::make_unique<block_body>(std::move(all));
    }
    auto first = co_await source->open(protocol::byte_range{what.offset, limits::cloud_parallel_range_bytes});
    if (!first && range_is_at_fault(first.error())) {
        // A range beyond the end says that the expected size was wrong, and nothing about ranges.
        if (kind_of(first.error()) != error_kind::invalid_range) {
            transfer->note(first.error(), multipart_policy::clock::now());
        }
        transfer->go_whole();
        first = co_await source->open(asked);
    }
    if (!first) co_return std::unexpected(std::move(first.error()));
    const auto size = first->info().size;
    const auto end = what.length ? std::min(size, what.offset + *what.length) : size;
    if (first->offset() + first->length() == end) co_return std::make_unique<block_body>(std::move(*first));
    co_return std::make_unique<block_body>(core, source, std::move(*first), end, std::move(*buffers));
}

}  // namespace keepstore::volumes::cloud
