#include "volumes/directory/fsync_group_commit.hpp"

#include <unistd.h>

#include <cerrno>

namespace keepstore::volumes::directory {

int fsync_group_commit::sync(unsigned key, int fd) {
    std::unique_lock lock(mutex_);
    auto& dir = directories_[key];  // References stay valid while other keys come and go.
    ++dir.users;
    if (!dir.next) dir.next = std::make_shared<group>();
    const auto mine = dir.next;
    while (!mine->done && dir.running) dir.changed.wait(lock);
    if (!mine->done) {  // The first of the group to wake up syncs for all.
        dir.running = true;
        dir.next.reset();
        ++calls_;
        lock.unlock();
        const int error = ::fsync(fd) == 0 ? 0 : errno;
        lock.lock();
        dir.running = false;
        mine->error = error;
        mine->done = true;
        dir.changed.notify_all();
    }
    const int error = mine->error;
    if (--dir.users == 0) directories_.erase(key);
    return error;
}

unsigned long fsync_group_commit::calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
}

unsigned fsync_group_commit::waiting(unsigned key) const {
    const std::lock_guard lock(mutex_);
    const auto at = directories_.find(key);
    return at == directories_.end() ? 0 : at->second.users;
}

}  // namespace keepstore::volumes::directory
