/// The repair of one bad copy from another volume of the same daemon: the good copy is verified while it is written
/// beside the bad one, which it then replaces at once or not at all. Where no copy is good, one is put together from
/// the good parts of the bad ones, if waypoints tell which they are (patchwork). Nothing is ever deleted.
#pragma once

#include "base/async.hpp"
#include "digest/engine.hpp"
#include "pool/buffer_pool.hpp"
#include "store/mount.hpp"
#include "store/scrub/scrub_reader.hpp"

#include <string>
#include <vector>

namespace keepstore::store {

/// What a repair works with. All must outlive it; `pool` has limits::copy_pool_bytes and serves one repair at a time.
struct repair_tools {
    pool::buffer_pool& pool;
    digest::engine& engine;
    const scrub_reader::rules& rules;
};

struct repair_report {
    enum class outcome {
        repaired,
        superseded,    ///< The copy was replaced, touched or trashed meanwhile: nothing was done.
        not_repaired,  ///< `why` says what was missing.
        cancelled,     ///< Nothing was done.
    };
    outcome result = outcome::not_repaired;
    std::string source;  ///< The mount that had a good copy, or that several gave parts.
    std::string why;
};

/// Replaces the copy of `block` on `where`, whose mtime was `seen` when it was found to be bad, with the first good
/// copy among `sources`, or with the good parts of theirs and of itself. Awaited in place.
[[nodiscard]] awaitable<repair_report> repair_copy(const repair_tools& tools, const mount& where,
                                                   const std::vector<const mount*>& sources, const md5_digest& block,
                                                   volumes::block_time seen);

}  // namespace keepstore::store
