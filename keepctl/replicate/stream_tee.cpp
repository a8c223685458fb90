#include "keepctl/replicate/stream_tee.hpp"

#include "base/limits.hpp"
#include "keepctl/cluster/limits.hpp"

#include <algorithm>
#include <utility>

namespace keepstore::keepctl {

stream_tee::branch::branch(protocol::block_stream& from)
    : from_(from), pieces_(limits::keepctl_queue_bytes / limits::chunk_size_bytes) {}

awaitable<result<const_slice>> stream_tee::branch::next(deadline until) {
    auto piece = co_await pieces_.pop(until);
    if (!piece || !*piece) failed_ = true;
    if (!piece) co_return std::unexpected(given_up_ ? *given_up_ : std::move(piece.error()));
    co_return std::move(*piece);
}

void stream_tee::branch::give_up(error why) {
    given_up_ = std::move(why);
    pieces_.close();
}

stream_tee::stream_tee(protocol::block_stream& from, std::size_t branches) : from_(from) {
    for (std::size_t i = 0; i < branches; ++i) branches_.push_back(std::make_unique<branch>(from));
}

awaitable<void> stream_tee::run(deadline until) {
    std::vector<branch*> open;
    for (const auto& b : branches_) open.push_back(b.get());
    for (bool over = false; !over && !open.empty();) {
        const auto piece = co_await from_.next(until);
        over = !piece || piece->size() == 0;
        for (auto b = open.begin(); b != open.end();) {
            auto copy = piece;
            auto pushed = co_await (*b)->pieces_.push(std::move(copy), until);
            if (!pushed) (*b)->give_up(std::move(pushed.error()));
            b = pushed ? b + 1 : open.erase(b);
        }
    }
    for (auto* const b : open) b->pieces_.close();
}

}  // namespace keepstore::keepctl
