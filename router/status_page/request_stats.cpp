#include "router/status_page/request_stats.hpp"

#include "router/thread_number.hpp"

namespace keepstore::router {

request_stats::shard& request_stats::my_shard() noexcept {
    return shards_[thread_number() % shards_.size()];
}

void request_stats::count(const ended_request& r) noexcept {
    const auto which = r.method == "GET" ? kind::get : r.method == "PUT" ? kind::put : kind::other;
    shard& mine = my_shard();
    const std::lock_guard lock(mine.mutex);
    series& s = mine.kinds[static_cast<std::size_t>(which)];
    ++s.count;
    if (r.status >= 400 && r.status < 500) ++s.refused;
    if (r.status >= 500 || (r.cut && r.status < 400)) ++s.failed;
    s.to_status.observe(r.to_status, r.at);
    s.to_end.observe(r.to_end, r.at);
}

request_stats::by_kind request_stats::snapshot(std::chrono::steady_clock::time_point now) const {
    by_kind out;
    for (std::size_t k = 0; k < kind_names.size(); ++k) {
        windowed_summary::sum to_status;
        windowed_summary::sum to_end;
        for (const shard& s : shards_) {
            const std::lock_guard lock(s.mutex);
            const series& from = s.kinds[k];
            out[k].count += from.count;
            out[k].refused += from.refused;
            out[k].failed += from.failed;
            from.to_status.add_to(to_status, now);
            from.to_end.add_to(to_end, now);
        }
        out[k].to_status = to_status.result();
        out[k].to_end = to_end.result();
    }
    return out;
}

std::array<std::uint64_t, request_stats::kind_names.size()> request_stats::counts() const {
    std::array<std::uint64_t, kind_names.size()> out{};
    for (const shard& s : shards_) {
        const std::lock_guard lock(s.mutex);
        for (std::size_t k = 0; k < out.size(); ++k) out[k] += s.kinds[k].count;
    }
    return out;
}

}  // namespace keepstore::router
