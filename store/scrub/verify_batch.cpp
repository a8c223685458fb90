#include "store/scrub/verify_batch.hpp"

#include "base/when_all.hpp"
#include "digest/md5.hpp"

#include <algorithm>
#include <functional>
#include <utility>

namespace keepstore::store {
namespace {

// Direct reads are whole pages, the last one included.
constexpr std::size_t page = 4096;
static_assert(limits::chunk_size_bytes % page == 0);

// One page at least: also an empty copy has a place.
std::size_t room_for(std::uint64_t size) {
    return std::max<std::size_t>((static_cast<std::size_t>(size) + page - 1) / page, 1) * page;
}

// A copy that was read and has the size that it should have.
struct hashing {
    std::size_t index;  // In the batch.
    const_slice bytes;
};

}  // namespace

struct copy_batch::reading {
    std::uint64_t bytes = 0;
    std::vector<volumes::whole_read> wanted;
    result<std::vector<result<std::uint64_t>>> outcome = fail(errc::cancelled);
};

bool copy_batch::add(const volumes::block_info& copy) {
    constexpr std::size_t chunk = pool::buffer_pool::chunk_size();
    if (copies_.size() == limits::scrub_batch_blocks) return false;
    const std::size_t room = room_for(copy.size);
    if (room > free_) {
        if (chunks_ == limits::scrub_lanes) return false;
        ++chunks_;
        free_ = chunk;
    }
    const bool same_call = !groups_.empty() && groups_.back().count < limits::scrub_call_blocks &&
                           groups_.back().bytes + copy.size <= limits::scrub_call_bytes;
    if (!same_call) groups_.push_back({.first = copies_.size()});
    groups_.back().count += 1;
    groups_.back().bytes += copy.size;
    places_.push_back({chunks_ - 1, chunk - free_});
    copies_.push_back(copy);
    free_ -= room;
    return true;
}

awaitable<void> copy_batch::read(volumes::volume& volume, const scrub_reader::rules& rules, reading& r) {
    const auto turn = co_await scrub_reader::wait_for_turn(rules, r.bytes);
    if (!turn) co_return;
    // The call takes shares in the memory, not the memory: a hung one may outlive us.
    auto wanted = r.wanted;
    r.outcome = co_await volume.read_whole(std::move(wanted), deadline::never());
}

awaitable<result<std::vector<bool>>> copy_batch::check(pool::buffer_pool& pool, digest::engine& engine,
                                                       volumes::volume& volume,
                                                       const scrub_reader::rules& rules) const {
    std::vector<mutable_slice> chunks;
    while (chunks.size() < chunks_) {
        auto chunk = co_await pool.acquire();
        if (!chunk) co_return std::unexpected(std::move(chunk.error()));
        chunks.push_back(*std::move(chunk));
    }
    std::vector<reading> readings(groups_.size());
    for (std::size_t g = 0; g < groups_.size(); ++g) {
        readings[g].bytes = groups_[g].bytes;
        for (std::size_t i = groups_[g].first; i < groups_[g].first + groups_[g].count; ++i) {
            const auto& memory = chunks[places_[i].chunk];
            readings[g].wanted.push_back(
                {copies_[i].name, memory.subslice(places_[i].offset, room_for(copies_[i].size))});
        }
    }
    chunks.clear();
    std::vector<awaitable<void>> reads;
    for (reading& r : readings) reads.push_back(read(volume, rules, r));
    if (co_await when_all(std::move(reads))) co_return fail(errc::cancelled);

    std::vector<bool> good(copies_.size(), false);
    std::vector<hashing> all;
    for (std::size_t g = 0; g < groups_.size(); ++g) {
        reading& r = readings[g];
        if (!r.outcome) continue;
        for (std::size_t i = 0; i < groups_[g].count; ++i) {
            const auto& size = (*r.outcome)[i];
            const std::size_t index = groups_[g].first + i;
            const auto& into = r.wanted[i].into;
            if (size && *size <= into.size()) rules.record.read(*size);
            if (!size || *size != copies_[index].size) continue;
            all.push_back({index, into.freeze(static_cast<std::size_t>(*size))});
        }
    }
    // What cannot be judged gives its memory back before the hashing.
    readings.clear();

    // Long ones first: lanes that become free take short ones, and all end at about the same time.
    std::ranges::sort(all, std::greater<>(), [](const hashing& h) { return h.bytes.size(); });
    std::vector<digest::md5_segment> work;
    work.reserve(all.size());
    for (const hashing& h : all) {
        const std::size_t whole = h.bytes.size() / digest::md5_block_bytes * digest::md5_block_bytes;
        work.push_back({{}, h.bytes.subslice(0, whole)});
    }
    if (auto hashed = co_await engine.compress_all(work); !hashed) co_return std::unexpected(hashed.error());
    for (std::size_t i = 0; i < all.size(); ++i) {
        const auto bytes = all[i].bytes.bytes;
        const auto tail = bytes.subspan(work[i].blocks.size());
        good[all[i].index] = digest::md5_finish(work[i].state, tail, bytes.size()) == copies_[all[i].index].name;
    }
    co_return good;
}

}  // namespace keepstore::store
