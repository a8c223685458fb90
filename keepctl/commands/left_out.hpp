/// What commands say of the entries of a place that are no blocks, and are left alone.
#pragma once

#include "keepctl/cluster/block_place.hpp"
#include "keepctl/cluster/count_text.hpp"
#include "keepctl/commands/output.hpp"

#include <cstdint>

namespace keepstore::keepctl {

inline void note_left_out(output& out, const listing_notes& notes) {
    if (notes.too_large > 0) out.note(count_of(notes.too_large, "entry") + " over 64 MiB, no blocks, left out");
    if (notes.foreign > 0) out.note(count_of(notes.foreign, "entry") + " of other names left out: no blocks");
}

inline void add_left_out(record& summary, const listing_notes& notes) {
    summary.insert(summary.end(), {{"too_large", notes.too_large}, {"foreign", notes.foreign}});
}

}  // namespace keepstore::keepctl
