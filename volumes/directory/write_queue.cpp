#include "volumes/directory/write_queue.hpp"

#include "volumes/directory/limits.hpp"

#include <algorithm>
#include <cstring>
#include <new>

namespace keepstore::volumes::directory {
namespace {

constexpr std::size_t page = temp_file::direct_unit_bytes;
constexpr std::size_t pieces_max = 512;  // Of IOV_MAX, 1024; one is kept for the carry.

std::shared_ptr<std::byte> make_page() {
    auto* const memory = static_cast<std::byte*>(std::aligned_alloc(page, page));
    if (memory == nullptr) throw std::bad_alloc();
    return {memory, [](std::byte* p) { std::free(p); }};
}

}  // namespace

write_queue::batch write_queue::next_buffered() {
    batch out;
    out.offset = written_;
    if (carried_ > 0) {
        out.carry = carry_;
        out.pieces.push_back({carry_.get(), carried_});
        out.bytes = carried_;
    }
    std::size_t skip = front_offset_;
    for (const auto& slice : slices_) {
        if (out.bytes >= limits::write_batch_bytes_max || out.pieces.size() > pieces_max) break;
        const auto bytes = slice.bytes.subspan(skip);
        skip = 0;
        // pwritev does not write through its vectors; the type is shared with preadv.
        out.pieces.push_back({const_cast<std::byte*>(bytes.data()), bytes.size()});
        out.shares.push_back(slice);
        out.bytes += bytes.size();
    }
    return out;
}

write_queue::batch write_queue::next_direct(std::size_t memory_alignment, bool& irregular) {
    irregular = false;
    batch out;
    out.offset = written_;
    const std::size_t waiting = carried_ + queued_;
    if (waiting < page) {
        if (queued_ > 0) {
            if (!carry_) carry_ = make_page();
            const std::size_t n = queued_;
            take_front({carry_.get() + carried_, n});
            carried_ += n;
        }
        return out;
    }
    if (carried_ > 0) {
        take_front({carry_.get() + carried_, page - carried_});
        carried_ = page;
        out.carry = carry_;
        out.pieces.push_back({carry_.get(), page});
        out.bytes = page;
    }
    // Adjacent slices (pieces of one chunk) become one vector; every vector must be whole pages at an aligned address.
    std::size_t skip = front_offset_;
    std::size_t whole_bytes = out.bytes;
    std::size_t whole_pieces = out.pieces.size();
    for (const auto& slice : slices_) {
        if (out.bytes >= limits::write_batch_bytes_max || out.pieces.size() > pieces_max) break;
        const auto bytes = slice.bytes.subspan(skip);
        skip = 0;
        auto* const start = const_cast<std::byte*>(bytes.data());
        const bool follows = out.pieces.size() > (out.carry ? 1U : 0U) &&
                             static_cast<std::byte*>(out.pieces.back().iov_base) + out.pieces.back().iov_len == start;
        if (follows) {
            out.pieces.back().iov_len += bytes.size();
        } else {
            if (!out.pieces.empty() && out.pieces.back().iov_len % page != 0) break;
            if (memory_alignment > 1 && reinterpret_cast<std::uintptr_t>(start) % memory_alignment != 0) break;
            out.pieces.push_back({start, bytes.size()});
        }
        out.shares.push_back(slice);
        out.bytes += bytes.size();
        whole_pieces = out.pieces.size();
        whole_bytes = out.bytes;
    }
    // Only the last vector can be uneven: its end stays for the next batch.
    const std::size_t uneven = out.pieces.empty() ? 0 : out.pieces.back().iov_len % page;
    if (uneven > 0) {
        out.pieces.back().iov_len -= uneven;
        whole_bytes -= uneven;
        if (out.pieces.back().iov_len == 0) --whole_pieces;
    }
    out.pieces.resize(whole_pieces);
    out.bytes = whole_bytes;
    irregular = out.bytes == 0;
    return out;
}

void write_queue::finish(const batch& done) {
    written_ += done.bytes;
    const std::size_t from_carry = done.carry ? carried_ : 0;
    carried_ -= from_carry;
    drop_front(done.bytes - from_carry);
}

std::size_t write_queue::copy_queued(std::uint64_t offset, std::span<std::byte> into) const {
    std::size_t done = 0;
    const auto copy = [&](std::uint64_t start, std::span<const std::byte> bytes) {
        const std::uint64_t want = offset + done;
        if (done == into.size() || want < start || want >= start + bytes.size()) return;
        const auto part = bytes.subspan(static_cast<std::size_t>(want - start));
        const auto n = std::min(part.size(), into.size() - done);
        std::memcpy(into.data() + done, part.data(), n);
        done += n;
    };
    std::uint64_t at = written_;
    if (carried_ > 0) copy(at, {carry_.get(), carried_});
    at += carried_;
    std::size_t skip = front_offset_;
    for (const auto& slice : slices_) {
        const auto bytes = slice.bytes.subspan(skip);
        skip = 0;
        copy(at, bytes);
        at += bytes.size();
    }
    return done;
}

std::deque<const_slice> write_queue::clear() noexcept {
    queued_ = 0;
    carried_ = 0;
    front_offset_ = 0;
    return std::exchange(slices_, {});
}

void write_queue::take_front(std::span<std::byte> into) {
    std::size_t done = 0;
    std::size_t skip = front_offset_;
    for (const auto& slice : slices_) {
        if (done == into.size()) break;
        const auto bytes = slice.bytes.subspan(skip);
        skip = 0;
        const auto n = std::min(bytes.size(), into.size() - done);
        std::memcpy(into.data() + done, bytes.data(), n);
        done += n;
    }
    drop_front(done);
}

void write_queue::drop_front(std::size_t bytes) {
    queued_ -= bytes;
    front_offset_ += bytes;
    while (!slices_.empty() && front_offset_ >= slices_.front().size()) {
        front_offset_ -= slices_.front().size();
        slices_.pop_front();
    }
}

}  // namespace keepstore::volumes::directory
