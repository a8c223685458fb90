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
        // The caller's own error; only its origin is added.
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
    if (fetched_ || !request_.source || left_ == 0) co_return success();
    KS_CO_TRY(first_, co_await pull());
    fetched_ = true;
    co_return success();
}

awaitable<result<const_slice>> body_feed::next() {
    if (calls_ < 2) ++calls_;
    if (calls_ == 1) {
        KS_CO_CHECK(co_await prefetch());
        co_return first_;
    }
    first_ = {};
    if (left_ == 0) co_return const_slice{};
    co_return co_await pull();
}

bool body_feed::restart() {
    if (request_.source && calls_ > 1) {
        if (!request_.source->rewind()) return false;
        left_ = size();
        fetched_ = false;
    }
    calls_ = 0;
    return true;
}

}  // namespace keepstore::net
