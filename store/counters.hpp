/// What the store counts, for metrics.
#pragma once

#include "base/counter.hpp"

namespace keepstore::store {

struct store_counters : counter_set {
    counter bad_copies{*this, "keepstore_bad_copies_total", "Stored copies found not to be what their name says"};
    counter repaired_copies{*this, "keepstore_repaired_copies_total", "Bad copies replaced by good data"};
    counter failovers{*this, "keepstore_read_failovers_total", "Reads that went on to another volume"};
    counter stitched_reads{*this, "keepstore_read_patchworks_total",
                           "Reads put together from copies that are all damaged"};
    counter bad_segments{*this, "keepstore_bad_segments_total",
                         "Times that wrong stored bytes were kept from a client"};
    counter false_alarms{*this, "keepstore_waypoint_false_alarms_total",
                         "Stored waypoints that disagreed with a good copy"};
    counter waypoints_added{*this, "keepstore_waypoints_added_total",
                            "Waypoints stored with copies that lacked right ones"};
};

}  // namespace keepstore::store
