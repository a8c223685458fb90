#include "volumes/cloud/download_window.hpp"

#include "volumes/cloud/limits.hpp"

#include <algorithm>
#include <iterator>
#include <ranges>
#include <utility>

namespace keepstore::volumes::cloud {

unsigned download_window::join() {
    readers_.emplace(next_reader_, begin_);
    return next_reader_++;
}

void download_window::append(const_slice bytes) {
    const auto size = bytes.size();
    pieces_.push_back({next_, std::move(bytes)});
    next_ += size;
}

std::vector<const_slice> download_window::drop_before(std::uint64_t upto) {
    if (!reading_.empty()) upto = std::min(upto, reading_.begin()->first);
    std::vector<const_slice> dropped;
    for (; !pieces_.empty() && pieces_.front().end() <= upto; pieces_.pop_front()) {
        dropped.push_back(std::move(pieces_.front().bytes));
    }
    return dropped;
}

std::vector<const_slice> download_window::drop_all() {
    std::vector<const_slice> dropped;
    for (auto& one : std::exchange(pieces_, {})) dropped.push_back(std::move(one.bytes));
    return dropped;
}

std::optional<download_window::piece> download_window::look(unsigned reader, std::uint64_t offset, std::size_t want) {
    if (end_ && (offset < first() || offset >= *end_ || offset > next_ + limits::cloud_skip_bytes_max)) {
        return piece{.bytes = {}, .outside_window = true};
    }
    auto& position = readers_[reader];
    position = std::max(position, offset);
    if (offset >= next_ || pieces_.empty()) return std::nullopt;
    const auto after = std::ranges::upper_bound(pieces_, offset, {}, [](const kept& k) { return k.offset; });
    const kept& found = *std::prev(after);
    const auto skip = static_cast<std::size_t>(offset - found.offset);
    const auto count = std::min(want, found.bytes.size() - skip);
    position = std::max(position, offset + count);
    return piece{.bytes = found.bytes.subslice(skip, count)};
}

std::uint64_t download_window::fastest() const {
    return readers_.empty() ? next_ : std::ranges::max(readers_ | std::views::values);
}

std::uint64_t download_window::slowest() const {
    return readers_.empty() ? next_ : std::ranges::min(readers_ | std::views::values);
}

bool download_window::front_is_being_read() const {
    return !reading_.empty() && !pieces_.empty() && pieces_.front().end() > reading_.begin()->first;
}

}  // namespace keepstore::volumes::cloud
