#include "store/verify/stored_bytes.hpp"

#include "base/when_all.hpp"

#include <utility>
#include <vector>

namespace keepstore::store {
namespace {

// \returns how many bytes of `into` were filled without waiting.
std::size_t read_cached(volumes::block_reader& copy, std::uint64_t offset, std::span<std::byte> into) {
    std::size_t filled = 0;
    while (filled < into.size()) {
        const auto now = copy.try_read_at(offset + filled, into.subspan(filled));
        if (!now || *now == 0) break;
        filled += *now;
    }
    return filled;
}

struct missing_part {
    std::uint64_t offset;
    mutable_slice into;
    result<std::size_t> outcome = 0;
};

error ends_early() {
    return {errc::checksum_mismatch, "stored copy is shorter than its size"};
}

}  // namespace

awaitable<result<std::size_t>> read_stored(volumes::block_reader& copy, std::uint64_t offset, const mutable_slice& into,
                                           deadline until) {
    const std::size_t filled = read_cached(copy, offset, into.bytes);
    if (filled == into.size()) co_return filled;
    KS_CO_TRY(const std::size_t rest, co_await copy.read_at(offset + filled, into.subslice(filled), until));
    co_return filled + rest;
}

bool try_read_stored_all(volumes::block_reader& copy, std::uint64_t offset, std::span<const mutable_slice> pieces) {
    for (const mutable_slice& piece : pieces) {
        if (read_cached(copy, offset, piece.bytes) < piece.size()) return false;
        offset += piece.size();
    }
    return true;
}

awaitable<result<void>> read_stored_all(volumes::block_reader& copy, std::uint64_t offset,
                                        std::span<const mutable_slice> pieces, deadline until) {
    std::vector<missing_part> missing;
    for (const mutable_slice& piece : pieces) {
        const std::size_t filled = read_cached(copy, offset, piece.bytes);
        if (filled < piece.size()) missing.push_back({offset + filled, piece.subslice(filled)});
        offset += piece.size();
    }
    if (missing.size() == 1) {
        auto& part = missing.front();
        part.outcome = co_await copy.read_at(part.offset, part.into, until);
    } else if (!missing.empty()) {
        std::vector<awaitable<void>> work;
        for (missing_part& part : missing)
            work.push_back(keep_outcome(copy.read_at(part.offset, part.into, until), part.outcome));
        if (co_await when_all(std::move(work))) co_return fail(errc::cancelled);
    }
    for (missing_part& part : missing) {
        if (!part.outcome) co_return std::unexpected(std::move(part.outcome.error()));
        if (*part.outcome < part.into.size()) co_return std::unexpected(ends_early());
    }
    co_return success();
}

}  // namespace keepstore::store
