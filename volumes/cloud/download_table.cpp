#include "volumes/cloud/download_table.hpp"

#include "volumes/cloud/shared_download.hpp"

#include <utility>
#include <vector>

namespace keepstore::volumes::cloud {
namespace {

// The pause after looking through all downloads, in units of how long that took: with thousands of them it must not be
// what the loops do.
constexpr int pause_factor = 10;

}  // namespace

std::shared_ptr<shared_download> download_table::find(const md5_digest& name) const {
    const std::lock_guard lock(mutex_);
    const auto found = running_.find(name);
    return found == running_.end() ? nullptr : found->second.lock();
}

std::shared_ptr<shared_download> download_table::add(const md5_digest& name,
                                                     const std::shared_ptr<shared_download>& d) {
    const std::lock_guard lock(mutex_);
    return std::exchange(running_[name], d).lock();
}

void download_table::remove(const md5_digest& name, const shared_download* d) {
    const std::lock_guard lock(mutex_);
    const auto found = running_.find(name);
    if (found == running_.end()) return;
    const auto known = found->second.lock();
    if (!known || known.get() == d) running_.erase(found);
}

void download_table::forget(const md5_digest& name) {
    const std::lock_guard lock(mutex_);
    running_.erase(name);
}

void download_table::release_buffers(const shared_download* asking, bool also_shared) {
    const auto begun = clock::now();
    const std::size_t kind = also_shared ? 1 : 0;
    std::vector<std::shared_ptr<shared_download>> others;
    {
        const std::lock_guard lock(mutex_);
        if (begun < next_release_[kind]) return;
        next_release_[kind] = clock::time_point::max();
        for (const auto& [name, weak] : running_) {
            if (auto d = weak.lock(); d && d.get() != asking) others.push_back(std::move(d));
        }
    }
    for (const auto& d : others) d->release_buffers(also_shared);
    const auto ended = clock::now();
    const std::lock_guard lock(mutex_);
    next_release_[kind] = ended + pause_factor * (ended - begun);
}

}  // namespace keepstore::volumes::cloud
