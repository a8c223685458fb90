#include "store/bad_copy_log.hpp"

#include "base/log.hpp"
#include "store/limits.hpp"

namespace keepstore::store {
namespace {

std::string key(std::string_view mount_uuid, const md5_digest& block) {
    return std::string(mount_uuid) + '/' + block.hex();
}

}  // namespace

bad_copy_log::time_point bad_copy_log::report(std::string_view mount_uuid, const md5_digest& block,
                                              std::string_view what, std::uint64_t offset) {
    const auto now = std::chrono::system_clock::now();
    {
        const std::lock_guard lock(mutex_);
        if (reported_.size() >= limits::bad_copies_remembered_max) reported_.clear();
        any_ = true;
        const auto [at, added] = reported_.emplace(key(mount_uuid, block), now);
        if (!added) return at->second;
    }
    log::error("stored copy is bad",
               {{"block", block.hex()}, {"mount", mount_uuid}, {"problem", what}, {"offset", offset}});
    return now;
}

bool bad_copy_log::knows(std::string_view mount_uuid, const md5_digest& block) const {
    if (!any_.load(std::memory_order_relaxed)) return false;
    const std::lock_guard lock(mutex_);
    return reported_.contains(key(mount_uuid, block));
}

void bad_copy_log::forget(std::string_view mount_uuid, const md5_digest& block) {
    const std::lock_guard lock(mutex_);
    reported_.erase(key(mount_uuid, block));
    any_ = !reported_.empty();
}

}  // namespace keepstore::store
