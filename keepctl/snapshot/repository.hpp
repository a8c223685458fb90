/// A repository of snapshots: which there are (latest.json), and how that changes. What latest.json lists is visible,
/// and nothing else is.
///
/// A change is a compare-and-swap: latest.json is read, one edit is made on what it says, and the result is written if
/// it is still the same. The loser merges: it makes the edit once more, on the new content. The outcome of a lost
/// response is found by reading. Used from one event loop; calls are awaited in place.
#pragma once

#include "keepctl/cluster/exit_code.hpp"
#include "keepctl/snapshot/documents.hpp"
#include "keepctl/snapshot/object_store.hpp"

#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace keepstore::keepctl {

/// An error of the store, with what was being done. Cancelled: `interrupted`; refused access: unreachable.
[[nodiscard]] std::unexpected<refusal> refuse(const error& why, std::string_view doing);

class repository {
  public:
    using edit_function = std::function<awaitable<outcome<bool>>(latest_document&)>;
    /// Takes a note on something unexpected that is no failure.
    using note_function = std::function<void(std::string_view)>;

    /// Between attempts at a swap, and until one without a clear response is given up.
    struct swap_times {
        std::chrono::milliseconds pause_max = limits::swap_pause_max;
        std::chrono::milliseconds unknown_max = limits::swap_unknown_max;
    };

    repository(object_store& store, note_function note) : repository(store, std::move(note), swap_times()) {}
    repository(object_store& store, note_function note, swap_times times)
        : store_(store), note_(std::move(note)), times_(times) {}

    /// Makes a repository in an empty place, or completes one that was begun. Others are left as they are.
    [[nodiscard]] awaitable<outcome<void>> init(std::string cluster);
    /// Reads what it is. usage: there is no repository; unreachable.
    [[nodiscard]] awaitable<outcome<void>> open();
    [[nodiscard]] const repository_document& identity() const noexcept { return identity_; }
    [[nodiscard]] object_store& store() const noexcept { return store_; }
    /// object_store::prove_swap(), before a change.
    [[nodiscard]] awaitable<outcome<void>> prove_swap();

    /// What is listed now. some_failed: the file is damaged, or gone.
    [[nodiscard]] awaitable<outcome<latest_document>> latest();

    /// Makes one change. `edit` may be called several times; it counts `sequence` up, or returns false if latest.json
    /// says already what it should. `attempted` tells, also after a failure, whether a swap was sent: the objects that
    /// it lists must stay then. \returns what is listed now. conflict: others were faster each time; not_finished: it
    /// is not known whether the swap took effect; some_failed: latest.json is damaged or gone.
    [[nodiscard]] awaitable<outcome<latest_document>> change(edit_function edit, bool& attempted);

    /// Metadata of a listed snapshot, checked against its digest. some_failed: damaged or gone, or "was pruned".
    [[nodiscard]] awaitable<outcome<snapshot_document>> metadata(const listed_snapshot& which);
    /// Reads one inventory and checks all of it, its digest included. errc::checksum_mismatch with the reason.
    [[nodiscard]] awaitable<result<std::shared_ptr<inventory_buffer>>> read_inventory(const snapshot_document& of,
                                                                                      std::size_t shard);
    /// The same for commands that need it. some_failed: damaged, or "was pruned".
    [[nodiscard]] awaitable<outcome<std::shared_ptr<inventory_buffer>>> inventory(const snapshot_document& of,
                                                                                  std::size_t shard);
    /// Whether all objects of the snapshot are there with their sizes. \returns the first that is not, or nothing.
    [[nodiscard]] awaitable<result<std::optional<std::string>>> find_damage(const snapshot_document& of);
    /// The failure of a read of this snapshot: "snapshot ID was pruned", if that is why.
    [[nodiscard]] awaitable<refusal> explain(const snapshot_id& id, std::string problem);

    /// The time by the clock of the service, extrapolated from its last response. After set_clock().
    [[nodiscard]] std::chrono::sys_seconds now() const;
    [[nodiscard]] awaitable<outcome<void>> set_clock();

  private:
    struct version {
        latest_document document;
        std::optional<std::string> tag;  ///< None: there is no latest.json yet.
    };
    [[nodiscard]] awaitable<outcome<version>> read_latest();
    [[nodiscard]] awaitable<bool> pause() const;

    object_store& store_;
    const note_function note_;
    const swap_times times_;
    const std::string writer_ = random_digits();
    repository_document identity_;
    bool had_latest_ = false;
    std::chrono::sys_seconds clock_{};
    std::chrono::steady_clock::time_point clock_read_{};
};

}  // namespace keepstore::keepctl
