#include "store/scrub/verify_batch.hpp"

#include "base/limits.hpp"
#include "base/when_all.hpp"
#include "digest/md5.hpp"
#include "store/limits.hpp"
#include "store/verify/stored_bytes.hpp"

#include <algorithm>
#include <functional>
#include <utility>

namespace keepstore::store {
namespace {

constexpr std::size_t chunk_bytes = limits::chunk_size_bytes;

// Direct reads are whole pages, the last one included.
constexpr std::size_t page_bytes = 4096;
static_assert(chunk_bytes % page_bytes == 0);

// At least one page: an empty copy has a location, too.
std::size_t room_for(std::uint64_t size) {
    return std::max<std::size_t>((static_cast<std::size_t>(size) + page_bytes - 1) / page_bytes, 1) * page_bytes;
}

std::size_t whole_md5_blocks(std::size_t bytes) {
    return bytes / digest::md5_block_bytes * digest::md5_block_bytes;
}

// --- segments of a large copy ---

// A segment on its way from its first waypoint to the next.
struct segment_lane {
    std::size_t segment;
    digest::md5_state state;
    std::uint64_t at;  // Hashed so far, in the block.
    std::uint64_t end;
    const_slice tail = {};  // Of the last segment: what does not fill an MD5 block.
};

// A chunk of the copy, or less at its end.
struct chunk_read {
    std::uint64_t offset;
    mutable_slice into;
    result<void> outcome = {};
};

// Reads a chunk at each step from `from` up to `end`, concurrently.
awaitable<result<std::vector<chunk_read>>> read_chunks(pool::chunk_source& memory, volumes::block_reader& copy,
                                                       std::uint64_t from, std::uint64_t end, std::size_t step,
                                                       deadline until) {
    std::vector<chunk_read> pieces;
    for (std::uint64_t at = from; at < end; at += step) {
        KS_CO_TRY(const auto chunk, co_await memory.acquire(until));
        pieces.push_back(
            {at, chunk.subslice(0, static_cast<std::size_t>(std::min<std::uint64_t>(chunk_bytes, end - at)))});
    }
    std::vector<awaitable<void>> reads;
    for (chunk_read& p : pieces)
        reads.push_back(keep_outcome(read_stored_all(copy, p.offset, std::span(&p.into, 1), until), p.outcome));
    if (co_await when_all(std::move(reads))) co_return fail(errc::cancelled);
    for (chunk_read& p : pieces) KS_CO_CHECK(std::move(p.outcome));
    co_return pieces;
}

// Hashes what the pieces have of each lane, and lets go of them first: the lanes' shares keep what is needed.
awaitable<result<void>> hash_chunks(digest::engine& engine, std::vector<segment_lane>& lanes,
                                    std::vector<chunk_read> pieces) {
    std::vector<digest::md5_segment> work;
    std::vector<segment_lane*> workers;
    for (segment_lane& l : lanes) {
        if (l.at >= l.end) continue;
        const auto in = std::ranges::find_if(
            pieces, [&](const chunk_read& p) { return l.at >= p.offset && l.at < p.offset + p.into.size(); });
        const auto from = static_cast<std::size_t>(l.at - in->offset);
        const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(in->into.size() - from, l.end - l.at));
        const const_slice bytes = in->into.freeze(in->into.size()).subslice(from, size);
        const std::size_t whole = whole_md5_blocks(size);
        l.at += size;
        if (whole < size) l.tail = bytes.subslice(whole);  // An empty one would hold its chunk as well.
        if (whole == 0) continue;
        work.push_back({l.state, bytes.subslice(0, whole)});
        workers.push_back(&l);
    }
    pieces.clear();
    KS_CO_CHECK(co_await engine.compress_all(work));
    for (std::size_t i = 0; i < work.size(); ++i) workers[i]->state = work[i].state;
    co_return success();
}

}  // namespace

awaitable<result<bool>> verify_segments(verify_tools tools, volumes::block_reader& copy,
                                        const digest::waypoints& points, const md5_digest& name, deadline until) {
    const std::size_t stride = points.stride();
    // Short segments share a chunk, which is read at once; of long ones each lane has a chunk at a time.
    const std::size_t lanes_per_round = limits::scrub_lanes * std::max<std::size_t>(1, chunk_bytes / stride);
    const std::size_t step = std::max(stride, chunk_bytes);
    const std::size_t count = points.segment_count();
    for (std::size_t first = 0; first < count; first += lanes_per_round) {
        std::vector<segment_lane> lanes;
        for (std::size_t i = first; i < std::min(count, first + lanes_per_round); ++i) {
            const std::uint64_t begin = std::uint64_t{i} * stride;
            lanes.push_back({i, points.state_before(i), begin, begin + points.segment_bytes(i)});
        }
        const std::uint64_t begin = lanes.front().at;
        const std::uint64_t end = lanes.back().end;
        for (std::size_t done = 0; done < std::min<std::uint64_t>(step, end - begin); done += chunk_bytes) {
            KS_CO_TRY(auto pieces, co_await read_chunks(tools.memory, copy, begin + done, end, step, until));
            KS_CO_CHECK(co_await hash_chunks(tools.engine, lanes, std::move(pieces)));
        }
        for (const segment_lane& l : lanes) {
            const auto expected = points.state_after(l.segment);
            const bool right =
                expected ? l.state == *expected : digest::md5_finish(l.state, l.tail.bytes, copy.size()) == name;
            if (!right) co_return false;
        }
    }
    co_return true;
}

// --- small copies ---

struct verify_batch::group_read {
    std::uint64_t bytes = 0;
    std::vector<volumes::whole_read> wanted;
    result<std::vector<result<std::uint64_t>>> outcome = fail(errc::cancelled);
};

// A copy that was read and has the size with which it was listed.
struct verify_batch::read_copy {
    std::size_t index;  // In the batch.
    const_slice bytes;
};

bool verify_batch::add(const volumes::block_info& copy) {
    if (copies_.size() == limits::scrub_batch_blocks) return false;
    const std::size_t room = room_for(copy.size);
    if (room > free_) {
        if (chunks_ == limits::scrub_lanes) return false;
        ++chunks_;
        free_ = chunk_bytes;
    }
    const bool same_call = !groups_.empty() && groups_.back().count < limits::scrub_call_blocks &&
                           groups_.back().bytes + copy.size <= limits::scrub_call_bytes;
    if (!same_call) groups_.push_back({.first = copies_.size()});
    groups_.back().count += 1;
    groups_.back().bytes += copy.size;
    locations_.push_back({chunks_ - 1, chunk_bytes - free_});
    copies_.push_back(copy);
    free_ -= room;
    return true;
}

awaitable<void> verify_batch::read(volumes::volume& volume, const scrub_reader::rules& rules, group_read& group) {
    const auto turn = co_await scrub_reader::wait_for_turn(rules, group.bytes);
    if (!turn) co_return;
    // The call gets shares in the memory, which keep it alive: a hung call may outlive the batch.
    auto wanted = group.wanted;
    group.outcome = co_await volume.read_whole(std::move(wanted), deadline::never());
}

std::vector<verify_batch::group_read> verify_batch::plan_reads(const std::vector<mutable_slice>& chunks) const {
    std::vector<group_read> out(groups_.size());
    for (std::size_t g = 0; g < groups_.size(); ++g) {
        out[g].bytes = groups_[g].bytes;
        for (std::size_t i = groups_[g].first; i < groups_[g].first + groups_[g].count; ++i) {
            const auto& memory = chunks[locations_[i].chunk];
            out[g].wanted.push_back(
                {copies_[i].name, memory.subslice(locations_[i].offset, room_for(copies_[i].size))});
        }
    }
    return out;
}

std::vector<verify_batch::read_copy> verify_batch::copies_of_full_size(const std::vector<group_read>& reads,
                                                                       scrub_record& record) const {
    std::vector<read_copy> out;
    for (std::size_t g = 0; g < groups_.size(); ++g) {
        if (!reads[g].outcome) continue;
        for (std::size_t i = 0; i < groups_[g].count; ++i) {
            const auto& size = (*reads[g].outcome)[i];
            const std::size_t index = groups_[g].first + i;
            const auto& into = reads[g].wanted[i].into;
            if (size && *size <= into.size()) record.read(*size);
            if (!size || *size != copies_[index].size) continue;
            out.push_back({index, into.freeze(static_cast<std::size_t>(*size))});
        }
    }
    return out;
}

awaitable<result<std::vector<bool>>> verify_batch::verify(verify_tools tools, volumes::volume& volume,
                                                          const scrub_reader::rules& rules) const {
    std::vector<mutable_slice> chunks;
    while (chunks.size() < chunks_) {
        KS_CO_TRY(auto memory, co_await tools.memory.acquire(deadline::in(limits::scrub_memory_timeout)));
        chunks.push_back(std::move(memory));
    }
    auto reads = plan_reads(chunks);
    chunks.clear();
    std::vector<awaitable<void>> running;
    for (group_read& r : reads) running.push_back(read(volume, rules, r));
    if (co_await when_all(std::move(running))) co_return fail(errc::cancelled);
    auto found = copies_of_full_size(reads, rules.record);
    // Gives back the memory of the others before the hashing.
    reads.clear();

    // Long ones first: lanes that become free take short ones, and all end at about the same time.
    std::ranges::sort(found, std::greater<>(), [](const read_copy& c) { return c.bytes.size(); });
    std::vector<digest::md5_segment> work;
    work.reserve(found.size());
    for (const read_copy& c : found) work.push_back({{}, c.bytes.subslice(0, whole_md5_blocks(c.bytes.size()))});
    KS_CO_CHECK(co_await tools.engine.compress_all(work));
    std::vector<bool> good(copies_.size(), false);
    for (std::size_t i = 0; i < found.size(); ++i) {
        const auto bytes = found[i].bytes.bytes;
        const auto tail = bytes.subspan(work[i].blocks.size());
        good[found[i].index] = digest::md5_finish(work[i].state, tail, bytes.size()) == copies_[found[i].index].name;
    }
    co_return good;
}

}  // namespace keepstore::store
