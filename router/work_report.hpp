/// Renders the progress of pull and trash lists for GET /_work (docs/interface.md 2.16). Pure.
#pragma once

#include "store/counters.hpp"
#include "store/lists/pull_worker.hpp"
#include "store/lists/work_queue.hpp"

#include <chrono>
#include <string>

namespace keepstore::router {

struct work_values {
    store::list_progress pulls;
    store::list_progress trash;
    const store::pull_counters* pull_counters = nullptr;  ///< Null: nothing pulls, and no outcome is known.
    const store::store_counters& trash_counters;
    std::chrono::system_clock::time_point started_at;  ///< From when outcomes are counted.
};

/// Returns {"started_at":TIME,"pull":LIST,"trash":LIST}, LIST being
/// {"pending":N,"in_progress":N,"outcomes":{NAME:N,...},"last":{"items":N,"sha256":HEX,"taken_at":TIME}}. "last" is
/// null before the first list.
[[nodiscard]] std::string work_json(const work_values&);

}  // namespace keepstore::router
