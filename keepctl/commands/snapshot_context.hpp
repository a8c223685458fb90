/// What all snapshot commands begin and end with: the repository opened, failures printed, the summary.
#pragma once

#include "keepctl/commands/session.hpp"
#include "keepctl/snapshot/repository.hpp"

#include <expected>
#include <memory>
#include <string>
#include <utility>

namespace keepstore::keepctl {

class run_frame;

struct snapshot_context {
    session& run;
    repository& repo;
    record summary = {};  ///< Fields of the last line of --json.

    [[nodiscard]] const arguments& given() const noexcept { return run.given(); }
    [[nodiscard]] const snapshot_arguments& asked() const noexcept { return run.given().snapshot; }
    [[nodiscard]] output& out() const noexcept { return run.out(); }

    /// usage: the repository is of another cluster than the configuration.
    [[nodiscard]] outcome<void> check_cluster() const;
    /// The snapshot that an id of the command line means, which may be "latest". some_failed: there is none.
    [[nodiscard]] outcome<const listed_snapshot*> find(const latest_document& listed, const std::string& id) const;
    /// The same with its metadata. A damaged one: refused, and the newest that is whole is named. With `read` all of it
    /// is read and checked, else the sizes.
    [[nodiscard]] awaitable<outcome<snapshot_document>> whole(const std::string& id, bool read = false);
    /// A place, opened and connected.
    [[nodiscard]] awaitable<outcome<std::unique_ptr<block_place>>> connected(const place& what, place_use use) const;
};

/// Opens where the files of a repository are. usage: there is no such place.
[[nodiscard]] outcome<std::unique_ptr<object_store>> open_store(session& s, const repository_place& place);

using snapshot_command = awaitable<outcome<exit_code>> (*)(snapshot_context&);

/// Opens the store, and the repository unless `opens` is false, and runs the command.
[[nodiscard]] outcome<exit_code> run_on_repository(session& s, snapshot_command command, bool opens = true);
/// The same within the frame of a long run.
[[nodiscard]] outcome<exit_code> run_on_repository(session& s,
                                                   awaitable<outcome<exit_code>> (*command)(snapshot_context&,
                                                                                            run_frame&));

}  // namespace keepstore::keepctl
