/// A mount is a volume with the terms of its use by this daemon: permissions, replicas, storage classes. The table of
/// mounts is fixed at start-up; safe to read from any thread.
#pragma once

#include "base/md5_digest.hpp"
#include "volumes/volume.hpp"

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::store {

struct mount {
    std::string uuid;
    std::shared_ptr<volumes::volume> volume;
    bool allow_write = false;
    bool allow_trash = false;
    int replication = 1;
    std::map<std::string, bool> storage_classes;
    int priority = 0;  ///< The highest of its classes' (docs/interface.md 1.7); higher is read first.

    [[nodiscard]] volumes::volume_state read_state() const;
    [[nodiscard]] volumes::volume_state write_state() const;
    /// Whether a call that has stalled on another mount may go on here.
    [[nodiscard]] bool takes_reads() const { return read_state() <= volumes::volume_state::slow; }
    [[nodiscard]] bool takes_writes() const { return write_state() <= volumes::volume_state::slow; }
};

class mount_table {
  public:
    explicit mount_table(std::vector<mount> mounts);

    [[nodiscard]] std::span<const mount> all() const noexcept { return mounts_; }
    /// Null if there is none.
    [[nodiscard]] const mount* find(std::string_view uuid) const noexcept;

    /// All mounts in the order in which this block is read: those that work first (volumes::volume_state), then by
    /// priority descending, then by rendezvous weight ascending (protocol/rendezvous.hpp).
    [[nodiscard]] std::vector<const mount*> in_read_order(const md5_digest& block) const;
    /// The writable ones, in the same order.
    [[nodiscard]] std::vector<const mount*> in_write_order(const md5_digest& block) const;

  private:
    std::vector<mount> mounts_;
};

}  // namespace keepstore::store
