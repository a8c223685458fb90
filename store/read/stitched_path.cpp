// STITCHED: no copy is good as a whole, or none continues what was sent; but where one is damaged another one may be
// right.
#include "store/limits.hpp"
#include "store/read/read_operation.hpp"
#include "store/verify/stitched_copy.hpp"
#include "store/verify/verify_copy.hpp"

#include <utility>

namespace keepstore::store {

// A HEAD says whether there is a good copy. Small blocks have no segments.
bool read_operation::may_be_stitched() const {
    if (request_.head || copies_ < 2 || !has_waypoints(request_.block.size.value_or(0))) return false;
    return !request_.range || request_.range->resolve(*request_.block.size);
}

// Files that change while they are read may make a stitched copy fail. It is stitched again as long as that gets
// further.
awaitable<read_operation::step> read_operation::send_stitched(const std::vector<const mount*>& mounts) {
    const auto proven = [this] { return proof_ ? proof_->offset : 0; };
    const std::size_t stride = digest::waypoints::stride_for(static_cast<std::size_t>(*request_.block.size));
    where_ = nullptr;
    while (true) {
        const std::uint64_t before = proven();
        const step next = co_await stitch_once(mounts);
        if (next != step::corrupt || proven() < before + stride) co_return next;
    }
}

// The lease ends before anything is sent, which takes memory of its own.
awaitable<result<bool>> read_operation::plan_stitched(stitched_copy& block, const digest::waypoints& points) {
    const std::uint64_t size = points.length();
    KS_CO_TRY(auto memory,
              co_await store_.scratch_pool.take(limits::stitched_units * limits::verify_lease_chunks, request_.until));
    co_return co_await block.plan({memory, store_.engine, limits::stitched_units}, request_.block.hash,
                                  start_of(points, body_of(size)), size, request_.until);
}

// The copies are opened anew, since each was closed when it failed.
awaitable<read_operation::step> read_operation::stitch_once(const std::vector<const mount*>& mounts) {
    const std::uint64_t size = *request_.block.size;
    stitched_copy::copy_list copies;
    for (const mount* const m : mounts) {
        auto reader = co_await open(*m);
        if (reader)
            copies.push_back(std::move(*reader));
        else if (reader.error() == errc::cancelled)
            co_return abandon(reader.error());
    }
    const auto candidates =
        co_await stitched_copy::gather_waypoints(copies, request_.block.hash, std::span(&size, 1), request_.until);
    if (!candidates) co_return abandon(candidates.error());
    // One copy's waypoints say what is right in another one: they are believed only if they lead to the block's name,
    // also for a range, and before anything of it is sent.
    for (const digest::waypoints& points : *candidates) {
        stitched_copy block(copies, points);
        const auto complete = co_await plan_stitched(block, points);
        if (!complete) co_return abandon(complete.error());
        if (!*complete) continue;
        step next = co_await send_verified(block, points);
        if (next == step::stream) {
            copy_waypoints unused;
            next = co_await send_streaming(block, unused);
        }
        if (next == step::done) store_.counters.stitched_reads.add();
        co_return next == step::rehash ? step::corrupt : next;
    }
    co_return step::corrupt;
}

}  // namespace keepstore::store
