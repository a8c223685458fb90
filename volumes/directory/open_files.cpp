#include "volumes/directory/open_files.hpp"

#include <utility>

namespace keepstore::volumes::directory {

struct open_files::entry {
    entry(unique_fd opened, const identity& which, std::shared_ptr<table> where) noexcept
        : fd(std::move(opened)), id(which), files(std::move(where)) {}
    entry(const entry&) = delete;
    entry& operator=(const entry&) = delete;
    ~entry() {
        auto& shard = files->shard_of(id);
        const std::lock_guard lock(shard.mutex);
        const auto mine = shard.files.find(id);
        // A new reader may have put its own entry here since the last reference to this one was dropped.
        if (mine != shard.files.end() && mine->second.expired()) shard.files.erase(mine);
    }

    const unique_fd fd;
    const identity id;
    const std::shared_ptr<table> files;
};

shared_fd open_files::share(const md5_digest& name, unique_fd opened, const struct stat& status) {
    const identity id{.name = name,
                      .device = status.st_dev,
                      .inode = status.st_ino,
                      .size = status.st_size,
                      .seconds = status.st_mtim.tv_sec,
                      .nanoseconds = status.st_mtim.tv_nsec};
    // Made and destroyed outside of the lock, which ~entry takes.
    auto file = std::make_shared<entry>(std::move(opened), id, table_);
    std::shared_ptr<entry> there;
    {
        auto& shard = table_->shard_of(id);
        const std::lock_guard lock(shard.mutex);
        auto& place = shard.files[id];
        there = place.lock();
        if (!there) place = file;
    }
    if (there) file.swap(there);
    const unique_fd& fd = file->fd;
    return shared_fd(std::move(file), &fd);
}

std::size_t open_files::count() const {
    std::size_t n = 0;
    for (auto& shard : table_->shards) {
        const std::lock_guard lock(shard.mutex);
        n += shard.files.size();
    }
    return n;
}

}  // namespace keepstore::volumes::directory
