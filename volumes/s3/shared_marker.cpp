#include "volumes/s3/shared_marker.hpp"

#include "volumes/s3/limits.hpp"
#include "volumes/s3/s3_core.hpp"

#include <utility>

namespace keepstore::volumes::s3 {

void shared_marker::prefetch() {
    {
        const std::lock_guard lock(mutex_);
        if (known_) return;
    }
    request_.launch([self = shared_from_this()](flight mine) { self->request(std::move(mine)); });
}

awaitable<result<protocol::object_info>> shared_marker::get(deadline until) {
    const auto self = shared_from_this();
    {
        const std::lock_guard lock(mutex_);
        if (known_) co_return *known_;
    }
    co_return co_await request_.run([self](flight mine) { self->request(std::move(mine)); }, until);
}

bool shared_marker::requested() const {
    const std::lock_guard lock(mutex_);
    return known_ || request_.flying();
}

void shared_marker::request(flight mine) {
    auto done = [self = shared_from_this(), mine = std::move(mine)](const result<protocol::object_info>& got) mutable {
        if (got || got.error() == errc::not_found) {
            const std::lock_guard lock(self->mutex_);
            self->known_ = got;
        }
        mine.land(got);
    };
    auto head = core_->head(core_->names.recent(name_), deadline::in(limits::cloud_call_timeout));
    static_cast<void>(core_->loops.spawn<protocol::object_info>(std::move(head), std::move(done)));
}

}  // namespace keepstore::volumes::s3
