#include "net/client/body_feed.hpp"

namespace keepstore::net {

std::uint64_t body_feed::size() const noexcept {
    if (request_.source) return request_.source->size();
    std::uint64_t sum = 0;
    for (const auto& piece : request_.body) sum += piece.size();
    return sum;
}

awaitable<result<const_slice>> body_feed::pull() {
    auto piece = co_await request_.source->next();
    if (!piece) {
        // The caller's own error, as it is; only where it came from is added.
        if (!piece.error().cause) piece.error().cause = failure::body_source;
        co_return piece;
    }
    if (piece->size() > left_ || (piece->bytes.empty() && left_ > 0)) {
        co_return fail(errc::bad_request, "the request body is longer or shorter than announced", failure::body_source);
    }
    left_ -= piece->size();
    co_return piece;
}

awaitable<result<void>> body_feed::prefetch() {
    if (fetched_ || !request_.source || left_ == 0) co_return result<void>{};
    auto piece = co_await pull();
    if (!piece) co_return std::unexpected(std::move(piece.error()));
    first_ = std::move(*piece);
    fetched_ = true;
    co_return result<void>{};
}

awaitable<result<const_slice>> body_feed::next() {
    if (asked_ < 2) ++asked_;
    if (asked_ == 1) {
        auto fetched = co_await prefetch();
        if (!fetched) co_return std::unexpected(std::move(fetched.error()));
        co_return first_;
    }
    first_ = {};
    if (left_ == 0) co_return const_slice{};
    co_return co_await pull();
}

bool body_feed::restart() {
    if (request_.source && asked_ > 1) {
        if (!request_.source->rewind()) return false;
        left_ = size();
        fetched_ = false;
    }
    asked_ = 0;
    return true;
}

}  // namespace keepstore::net
