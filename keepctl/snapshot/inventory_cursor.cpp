#include "keepctl/snapshot/inventory_cursor.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <utility>

namespace keepstore::keepctl {

std::span<const entry> with_prefix(std::span<const entry> sorted, std::string_view prefix) {
    if (prefix.empty()) return sorted;
    const auto bound = [&](char fill) {
        std::string digits(prefix);
        digits.resize(2 * sizeof(md5_digest::bytes), fill);
        return md5_digest::parse(digits).value_or(md5_digest{});
    };
    const auto first = std::ranges::lower_bound(sorted, bound('0'), {}, &entry::block);
    const auto last = std::ranges::upper_bound(sorted, bound('f'), {}, &entry::block);
    return {first, last};
}

awaitable<outcome<std::span<const entry>>> inventory_cursor::entries(std::string prefix) {
    const auto wanted = parse_number<std::size_t>(std::string_view(prefix).substr(0, document_.digits), 16).value_or(0);
    if (shard_ != wanted) {
        shard_.reset();
        buffer_.reset();  // Before the next one takes its memory.
        KS_CO_TRY(buffer_, co_await repository_.inventory(document_, wanted));
        shard_ = wanted;
    }
    co_return with_prefix(buffer_->entries(), prefix);
}

}  // namespace keepstore::keepctl
