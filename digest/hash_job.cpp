#include "digest/hash_job.hpp"

#include <algorithm>

namespace keepstore::digest {

const_slice piece_queue::pop() {
    const_slice piece = std::move(pieces_[first_++]);
    if (empty()) {
        pieces_.clear();
        first_ = 0;
    } else if (first_ >= 32 && first_ * 2 >= pieces_.size()) {
        // Each element is moved at most once for each that was popped.
        pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<std::ptrdiff_t>(first_));
        first_ = 0;
    }
    return piece;
}

std::vector<const_slice> piece_queue::take(bool keep_front) {
    std::vector<const_slice> taken;
    if (empty()) return taken;
    std::optional<const_slice> kept;
    if (keep_front) kept.emplace(std::move(front()));
    taken = std::exchange(pieces_, {});
    first_ = 0;
    if (kept) pieces_.push_back(std::move(*kept));
    return taken;
}

std::size_t hash_job::top_up(std::span<const std::byte> bytes) {
    const std::size_t held = hashed % md5_block_bytes;
    if (held == 0) return 0;
    const std::size_t used = std::min(md5_block_bytes - held, bytes.size());
    std::ranges::copy(bytes.first(used), partial.begin() + static_cast<std::ptrdiff_t>(held));
    if (held + used == md5_block_bytes) md5_compress(state, partial);
    advance(used);
    return used;
}

std::size_t hash_job::run_bytes(std::size_t available) const noexcept {
    const std::size_t whole = available - available % md5_block_bytes;
    if (waypoint_stride == 0) return whole;
    return std::min<std::size_t>(whole, waypoint_stride - hashed % waypoint_stride);
}

void hash_job::advance(std::size_t bytes) {
    hashed += bytes;
    if (waypoint_stride != 0 && bytes != 0 && hashed % waypoint_stride == 0) {
        waypoints.push_back(state);
    }
}

void hash_job::keep_tail(std::span<const std::byte> tail) {
    if (tail.empty()) return;
    std::ranges::copy(tail, partial.begin());
    hashed += tail.size();
}

void hash_job::absorb(std::span<const std::byte> bytes) {
    bytes = bytes.subspan(top_up(bytes));
    while (bytes.size() >= md5_block_bytes) {
        const std::size_t run = run_bytes(bytes.size());
        md5_compress(state, bytes.first(run));
        advance(run);
        bytes = bytes.subspan(run);
    }
    keep_tail(bytes);
}

md5_digest hash_job::finish() const {
    return md5_finish(state, std::span(partial).first(hashed % md5_block_bytes), hashed);
}

}  // namespace keepstore::digest
