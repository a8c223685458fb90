#include "store/scrub/lane_check.hpp"

#include "base/limits.hpp"
#include "base/when_all.hpp"
#include "digest/md5.hpp"
#include "store/verify/stored_bytes.hpp"

#include <algorithm>
#include <vector>

namespace keepstore::store {
namespace {

constexpr std::size_t chunk = limits::chunk_size_bytes;

// A segment on its way from its first waypoint to the next.
struct lane {
    std::size_t segment;
    digest::md5_state state;
    std::uint64_t at;  // Hashed so far, in the block.
    std::uint64_t end;
    const_slice tail;  // Of the last one: what does not fill an MD5 block.
};

struct piece {
    std::uint64_t offset;
    mutable_slice into;
    result<void> outcome = {};
};

awaitable<void> read_piece(volumes::block_reader& copy, piece& p, deadline until) {
    p.outcome = co_await read_stored_all(copy, p.offset, std::span(&p.into, 1), until);
}

}  // namespace

awaitable<result<bool>> agrees_with_waypoints(pool::buffer_pool& pool, digest::engine& engine,
                                              volumes::block_reader& copy, const digest::waypoints& points,
                                              const md5_digest& name, deadline until) {
    const std::size_t stride = points.stride();
    // Short segments share a chunk, which is read at once; of long ones each lane has a chunk at a time.
    const std::size_t lanes_per_group = limits::scrub_lanes * std::max<std::size_t>(1, chunk / stride);
    const std::size_t pieces_step = std::max(stride, chunk);
    const std::size_t count = points.segment_count();
    for (std::size_t first = 0; first < count; first += lanes_per_group) {
        std::vector<lane> lanes;
        for (std::size_t i = first; i < std::min(count, first + lanes_per_group); ++i) {
            const std::uint64_t begin = std::uint64_t{i} * stride;
            lanes.push_back({i, points.state_before(i), begin, begin + points.segment_bytes(i), {}});
        }
        const std::uint64_t group_begin = lanes.front().at;
        const std::uint64_t group_end = lanes.back().end;
        for (std::size_t done = 0; done < std::min<std::uint64_t>(pieces_step, group_end - group_begin);
             done += chunk) {
            std::vector<piece> pieces;
            for (std::uint64_t at = group_begin; at < group_end; at += pieces_step) {
                if (at + done >= group_end) break;
                auto memory = co_await pool.acquire();
                if (!memory) co_return std::unexpected(std::move(memory.error()));
                const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(chunk, group_end - at - done));
                pieces.push_back({at + done, memory->subslice(0, want)});
            }
            std::vector<awaitable<void>> reads;
            for (piece& p : pieces) reads.push_back(read_piece(copy, p, until));
            if (co_await when_all(std::move(reads))) co_return fail(errc::cancelled);
            for (piece& p : pieces) {
                if (!p.outcome) co_return std::unexpected(std::move(p.outcome.error()));
            }
            std::vector<digest::md5_segment> work;
            std::vector<lane*> workers;
            for (lane& l : lanes) {
                if (l.at >= l.end) continue;
                const auto in = std::ranges::find_if(
                    pieces, [&](const piece& p) { return l.at >= p.offset && l.at < p.offset + p.into.size(); });
                const auto from = static_cast<std::size_t>(l.at - in->offset);
                const auto size =
                    static_cast<std::size_t>(std::min<std::uint64_t>(in->into.size() - from, l.end - l.at));
                const const_slice bytes = in->into.freeze(in->into.size()).subslice(from, size);
                const std::size_t whole = size / digest::md5_block_bytes * digest::md5_block_bytes;
                l.at += size;
                if (whole < size) l.tail = bytes.subslice(whole);  // An empty one would hold its chunk as well.
                if (whole == 0) continue;
                work.push_back({l.state, bytes.subslice(0, whole)});
                workers.push_back(&l);
            }
            pieces.clear();
            if (auto hashed = co_await engine.compress_all(work); !hashed) co_return std::unexpected(hashed.error());
            for (std::size_t i = 0; i < work.size(); ++i) workers[i]->state = work[i].state;
        }
        for (const lane& l : lanes) {
            const auto expected = points.state_after(l.segment);
            const bool right =
                expected ? l.state == *expected : digest::md5_finish(l.state, l.tail.bytes, copy.size()) == name;
            if (!right) co_return false;
        }
    }
    co_return true;
}

}  // namespace keepstore::store
