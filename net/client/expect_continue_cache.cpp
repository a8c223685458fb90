#include "net/client/expect_continue_cache.hpp"

#include "net/limits.hpp"

namespace keepstore::net {

bool expect_continue_cache::is_silent(const endpoint& to, time_point now) const {
    const std::lock_guard lock(mutex_);
    if (entries_.empty()) return false;
    const auto at = entries_.find(to_string(to));
    return at != entries_.end() && now < at->second.unasked_until;
}

void expect_continue_cache::note_silence(const endpoint& to, time_point now) {
    const std::lock_guard lock(mutex_);
    if (entries_.size() >= limits::net_addresses_kept_max) entries_.clear();
    entry& e = entries_[to_string(to)];
    // After that time one upload tries again; if it waits in vain, the next period begins at once.
    if (e.silences < limits::net_continue_silences) ++e.silences;
    if (e.silences == limits::net_continue_silences) e.unasked_until = now + limits::net_continue_unasked;
}

void expect_continue_cache::note_continue(const endpoint& to) {
    const std::lock_guard lock(mutex_);
    if (!entries_.empty()) entries_.erase(to_string(to));
}

}  // namespace keepstore::net
