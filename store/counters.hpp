/// What the store counts, for metrics.
#pragma once

#include "base/counter.hpp"

namespace keepstore::store {

struct store_counters : counter_set {
    counter bad_copies{*this, "keepstore_bad_copies_total", "Stored copies found not to be what their name says"};
    counter repaired_copies{*this, "keepstore_repaired_copies_total", "Bad copies replaced by good data"};
    counter failovers{*this, "keepstore_read_failovers_total", "Reads that went on to another volume"};
    counter stitched_reads{*this, "keepstore_read_stitched_total",
                           "Reads put together from copies that are all damaged"};
    counter bad_segments{*this, "keepstore_bad_segments_total",
                         "Times that wrong stored bytes were kept from a client"};
    counter false_alarms{*this, "keepstore_waypoint_false_alarms_total",
                         "Stored waypoints that disagreed with a good copy"};
    counter waypoints_added{*this, "keepstore_waypoints_added_total",
                            "Waypoints stored with copies that lacked right ones"};

    static constexpr std::string_view trash_help = "Copies that trash lists name, by what became of them";
    counter trashed{*this, "keepstore_trash_items_total", trash_help, {"outcome", "trashed"}};
    counter trash_kept{*this, "keepstore_trash_items_total", trash_help, {"outcome", "kept"}};
    counter trash_missing{*this, "keepstore_trash_items_total", trash_help, {"outcome", "missing"}};
    counter trash_refused{*this, "keepstore_trash_items_total", trash_help, {"outcome", "refused"}};
    counter trash_failed{*this, "keepstore_trash_items_total", trash_help, {"outcome", "failed"}};
    counter trash_deleted_blocks{*this, "keepstore_trash_deleted_blocks_total", "Copies deleted from the trash"};
    counter trash_deleted_bytes{*this, "keepstore_trash_deleted_bytes_total", "Bytes of these"};
};

}  // namespace keepstore::store
