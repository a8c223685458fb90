#include "router/request_table.hpp"

#include "base/json.hpp"
#include "router/redact.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <vector>

namespace keepstore::router {
namespace {

using clock = std::chrono::steady_clock;

double in_seconds(clock::duration d) {
    return std::chrono::duration<double>(d).count();
}

}  // namespace

request_table::entry::entry(request_table& table, net::server_exchange& ex, std::string_view request_id)
    : table_(table), ex_(ex), request_id_(request_id) {
    shard& s = table_.shard_of(ex_);
    const std::lock_guard lock(s.mutex);
    s.entries.insert_or_assign(&ex_, this);
}

request_table::entry::~entry() {
    shard& s = table_.shard_of(ex_);
    const std::lock_guard lock(s.mutex);
    s.entries.erase(&ex_);
}

void request_table::entry::mark_abandoned() noexcept {
    abandoned_at_.store(clock::now().time_since_epoch().count(), std::memory_order_relaxed);
}

request_table::entry* request_table::find(const net::server_exchange& ex) noexcept {
    shard& s = shard_of(ex);
    const std::lock_guard lock(s.mutex);
    const auto found = s.entries.find(&ex);
    return found == s.entries.end() ? nullptr : found->second;
}

std::string request_table::to_json() const {
    struct row {
        double elapsed;
        nlohmann::ordered_json json;
    };
    std::vector<row> rows;
    const auto now = clock::now();
    for (const shard& s : shards_) {
        const std::lock_guard lock(s.mutex);
        for (const auto& [ex, e] : s.entries) {
            const net::request_head& head = ex->head();
            const double elapsed = in_seconds(now - ex->started_at());
            rows.push_back({elapsed,
                            {{"RequestID", e->request_id_},
                             {"Method", head.method},
                             {"Host", head.get("Host")},
                             {"URL", redact_target(head.target)},
                             {"RemoteAddr", ex->remote_address()},
                             {"XForwardedFor", head.get("X-Forwarded-For")},
                             {"Elapsed", elapsed}}});
        }
    }
    std::ranges::sort(rows, {}, &row::elapsed);
    auto array = nlohmann::ordered_json::array();
    for (row& r : rows) array.push_back(std::move(r.json));
    return json_to_text(array) + "\n";
}

request_table::ages request_table::oldest() const {
    ages out;
    const auto now = clock::now();
    for (const shard& s : shards_) {
        const std::lock_guard lock(s.mutex);
        for (const auto& [ex, e] : s.entries) {
            const auto abandoned = e->abandoned_at_.load(std::memory_order_relaxed);
            if (abandoned == 0) {
                out.active_seconds = std::max(out.active_seconds, in_seconds(now - ex->started_at()));
            } else {
                const clock::time_point since{clock::duration(abandoned)};
                out.abandoned_seconds = std::max(out.abandoned_seconds, in_seconds(now - since));
            }
        }
    }
    return out;
}

}  // namespace keepstore::router
