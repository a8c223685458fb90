/// Repairs one bad copy from another volume of the same daemon: a good copy is verified while it is written to a new
/// file, which then replaces the bad copy atomically or not at all. If no copy is good, one is stitched together from
/// the good segments of the bad ones, where waypoints tell which these are (stitched_copy). Nothing is ever deleted.
#pragma once

#include "base/async.hpp"
#include "digest/engine.hpp"
#include "pool/lease_pool.hpp"
#include "store/limits.hpp"
#include "store/mount.hpp"
#include "store/scrub/scrub_reader.hpp"

#include <string>
#include <vector>

namespace keepstore::store {

/// All must outlive the repair; `memory` is a lease of limits::copy_lease_chunks.
struct repair_tools {
    pool::chunk_source& memory;
    digest::engine& engine;
    const scrub_reader::rules& rules;
};

struct repair_report {
    enum class outcome {
        repaired,
        superseded,    ///< The copy was replaced, touched or trashed meanwhile. Next: verify what is there now.
        not_repaired,  ///< The copy is as it was; `why` has the reason. Next: list it as irreparable.
        cancelled,     ///< Nothing was done. Next: end the pass.
    };
    outcome result = outcome::not_repaired;
    std::string source;  ///< Of a repaired copy: the mount with the good one, or that several gave segments.
    std::string why;
};

/// Replaces the copy of `block` on `where`, whose mtime was `seen` when it was found to be bad, by the first good copy
/// among `sources`, or by one stitched together from theirs and itself. Awaited in place.
[[nodiscard]] awaitable<repair_report> repair_copy(const repair_tools& tools, const mount& where,
                                                   const std::vector<const mount*>& sources, const md5_digest& block,
                                                   volumes::block_time seen);

}  // namespace keepstore::store
