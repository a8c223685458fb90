/// What the two forms of `clone` need to find a job: its place, and the buckets that it names.
#pragma once

#include "keepctl/clone/clone_bucket.hpp"
#include "keepctl/clone/job_files.hpp"
#include "keepctl/clone/job_store.hpp"
#include "keepctl/commands/session.hpp"

#include <expected>
#include <memory>
#include <optional>
#include <string>

namespace keepstore::keepctl {

/// Opens the place of a job: a folder, or s3://bucket/prefix with the keys of a place. With `may_make` a folder is
/// made.
[[nodiscard]] outcome<std::unique_ptr<job_store>> open_job_store(const session&, const std::string& text,
                                                                 bool may_make);

/// Opens one side of a clone.
[[nodiscard]] outcome<std::unique_ptr<clone_bucket>> open_side(const session&, const place& what, bool writes);

/// Reads the job that is there; nothing if there is none. A file that is no job's is a usage error.
[[nodiscard]] awaitable<outcome<std::optional<clone_job>>> read_job(job_store& store, deadline until);

}  // namespace keepstore::keepctl
