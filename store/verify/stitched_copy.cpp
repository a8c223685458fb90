#include "store/verify/stitched_copy.hpp"

#include "store/limits.hpp"
#include "store/verify/verify_copy.hpp"

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

namespace keepstore::store {

awaitable<result<std::vector<digest::waypoints>>> stitched_copy::gather_waypoints(
    const copy_list& copies, const md5_digest& name, std::span<const std::uint64_t> lengths, deadline until) {
    std::vector<digest::waypoints> found;
    for (const auto& copy : copies) {
        const auto value = co_await copy->read_attribute(std::string(waypoints_attribute), until);
        if (!value && value.error() == errc::cancelled) co_return std::unexpected(value.error());
        if (!value) continue;
        for (const std::uint64_t length : lengths) {
            if (found.size() == limits::stitched_waypoints_max || !has_waypoints(length)) continue;
            auto points = usable_waypoints(*value, length, name);
            if (points && std::ranges::find(found, *points) == found.end()) found.push_back(std::move(*points));
        }
    }
    co_return found;
}

stitched_copy::stitched_copy(const copy_list& copies, const digest::waypoints& points)
    : copies_(copies), points_(points), source_(points.segment_count()), silent_(copies.size()) {}

awaitable<result<bool>> stitched_copy::plan(const tools& with, const md5_digest& name, const proven_state& start,
                                            std::uint64_t end, deadline until) {
    const std::uint64_t stride = points_.stride();
    std::size_t first_tried = 0;
    for (std::uint64_t at = start.offset; at < end;) {
        std::vector<proven_state> wanted;
        for (; at < end && wanted.size() < with.units; at = (at / stride + 1) * stride) {
            wanted.push_back(at == start.offset
                                 ? start
                                 : proven_state{at, points_.state_before(static_cast<std::size_t>(at / stride))});
        }
        const std::size_t last_wanted = static_cast<std::size_t>(wanted.back().offset / stride);
        for (std::size_t tried = 0; tried < copies_.size() && !wanted.empty(); ++tried) {
            KS_CO_CHECK(co_await take_from((first_tried + tried) % copies_.size(), wanted, with, name, until));
        }
        if (!wanted.empty()) co_return false;
        // Try the copy that gave the last segment first: the others are known to be damaged before it.
        first_tried = source_[last_wanted];
    }
    co_return true;
}

// Removes from `wanted` the segments that this copy has right.
awaitable<result<void>> stitched_copy::take_from(std::size_t copy, std::vector<proven_state>& wanted, const tools& with,
                                                 const md5_digest& name, deadline until) {
    std::deque<segment> loaded;
    for (const proven_state& start : wanted) {
        if (silent_[copy]) break;
        segment& added = loaded.emplace_back(with.engine, points_, start, start.offset + 1);
        const auto got = co_await added.load_through(with.memory, *copies_[copy], until);
        if (got) continue;
        if (got.error() == errc::cancelled) co_return std::unexpected(got.error());
        silent_[copy] = got.error() == errc::timeout || got.error() == errc::unavailable;
        loaded.pop_back();
    }
    for (segment& part : loaded) {
        KS_CO_TRY(const bool right, co_await part.verify(name));
        if (!right) continue;
        source_[static_cast<std::size_t>(part.begin() / points_.stride())] = copy;
        std::erase_if(wanted, [&](const proven_state& start) { return start.offset == part.begin(); });
    }
    co_return success();
}

bool stitched_copy::streams() const noexcept {
    return std::ranges::any_of(copies_, [](const auto& copy) { return copy->streams(); });
}

stitched_copy::run stitched_copy::run_at(std::uint64_t offset, std::size_t length_max) const {
    const std::uint64_t stride = points_.stride();
    const std::uint64_t end = std::min<std::uint64_t>(offset + length_max, size());
    if (offset >= end) return {0, 0};
    const std::size_t copy = source_[static_cast<std::size_t>(offset / stride)];
    std::uint64_t at = offset;
    while (at < end && source_[static_cast<std::size_t>(at / stride)] == copy) at = (at / stride + 1) * stride;
    return {copy, static_cast<std::size_t>(std::min(at, end) - offset)};
}

awaitable<result<std::size_t>> stitched_copy::read_at(std::uint64_t offset, mutable_slice into, deadline until) {
    std::size_t filled = 0;
    while (filled < into.size()) {
        const run from = run_at(offset + filled, into.size() - filled);
        if (from.length == 0) break;
        KS_CO_TRY(const std::size_t got,
                  co_await copies_[from.copy]->read_at(offset + filled, into.subslice(filled, from.length), until));
        filled += got;
        if (got < from.length) break;
    }
    co_return filled;
}

std::optional<std::size_t> stitched_copy::try_read_at(std::uint64_t offset, std::span<std::byte> into) {
    const run from = run_at(offset, into.size());
    if (from.length == 0) return 0;
    return copies_[from.copy]->try_read_at(offset, into.first(from.length));
}

awaitable<result<const_slice>> stitched_copy::read_piece(std::uint64_t offset, std::size_t want, deadline until) {
    const run from = run_at(offset, want);
    if (from.length == 0) co_return const_slice{};
    co_return co_await copies_[from.copy]->read_piece(offset, from.length, until);
}

awaitable<result<bool>> stitched_copy::equals_at(std::uint64_t offset, const_slice bytes, deadline until) {
    for (std::size_t done = 0; done < bytes.size();) {
        const run from = run_at(offset + done, bytes.size() - done);
        if (from.length == 0) co_return false;
        auto equal = co_await copies_[from.copy]->equals_at(offset + done, bytes.subslice(done, from.length), until);
        if (!equal || !*equal) co_return std::move(equal);
        done += from.length;
    }
    co_return true;
}

awaitable<result<std::vector<std::byte>>> stitched_copy::read_attribute(std::string, deadline) {
    co_return fail(errc::unsupported);
}

awaitable<result<void>> stitched_copy::write_attribute(std::string, std::vector<std::byte>, deadline) {
    co_return fail(errc::unsupported);
}

}  // namespace keepstore::store
