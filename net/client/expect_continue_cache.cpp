#include "net/client/expect_continue_cache.hpp"

#include "base/limits.hpp"

namespace keepstore::net {

bool continue_memory::is_silent(const endpoint& to, time_point now) const {
    const std::lock_guard lock(mutex_);
    if (entries_.empty()) return false;
    const auto at = entries_.find(to_string(to));
    return at != entries_.end() && now < at->second.unasked_until;
}

void continue_memory::note_silence(const endpoint& to, time_point now) {
    const std::lock_guard lock(mutex_);
    if (entries_.size() >= limits::net_addresses_kept_max) entries_.clear();
    entry& e = entries_[to_string(to)];
    // When the time is over one upload asks again: if that waits in vain, the next time begins at once.
    if (e.silences < limits::net_continue_silences) ++e.silences;
    if (e.silences == limits::net_continue_silences) e.unasked_until = now + limits::net_continue_unasked;
}

void continue_memory::note_word(const endpoint& to) {
    const std::lock_guard lock(mutex_);
    if (!entries_.empty()) entries_.erase(to_string(to));
}

}  // namespace keepstore::net
