/// Reads a snapshot prefix by prefix, in order. Holds one object at a time, so snapshots that are cut differently can
/// be compared in the memory of two objects. Used from one event loop.
#pragma once

#include "keepctl/snapshot/repository.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace keepstore::keepctl {

class inventory_cursor {
  public:
    /// Both outlive it.
    inventory_cursor(repository& in, const snapshot_document& of) : repository_(in), document_(of) {}

    /// The entries of blocks that begin with `prefix`, which has at least the snapshot's number of digits. Valid until
    /// the next call. some_failed: the snapshot is damaged, or was pruned.
    [[nodiscard]] awaitable<outcome<std::span<const entry>>> entries(std::string prefix);

  private:
    repository& repository_;
    const snapshot_document& document_;
    std::optional<std::size_t> shard_;
    std::shared_ptr<inventory_buffer> buffer_;
};

/// The part of a sorted list whose blocks begin with `prefix`.
[[nodiscard]] std::span<const entry> with_prefix(std::span<const entry> sorted, std::string_view prefix);

}  // namespace keepstore::keepctl
