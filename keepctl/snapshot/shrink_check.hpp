/// Notices a mount that lists far fewer blocks than in the last snapshot of the same place: what a disk that is not
/// mounted, or lost its files, looks like. A snapshot of it would be no error by itself, and hide from `latest` what
/// there was.
///
/// Counts per mount are not in the metadata, so that a sample of the last snapshot's objects is read, of at most
/// limits::shrink_sample_entries. Names are MD5s: a mount that shrinks does so in any part. Used by one thread.
#pragma once

#include "keepctl/cluster/entry.hpp"
#include "keepctl/snapshot/documents.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace keepstore::keepctl {

class shrink_check {
  public:
    /// `now`: the mounts that the entries of add_now() refer to.
    shrink_check(const snapshot_document& last, const std::vector<snapshot_mount>& now);

    /// The shards of the last snapshot that are compared; at least one.
    [[nodiscard]] const std::vector<std::size_t>& sample() const noexcept { return sample_; }
    /// All entries of one of them.
    void add_before(std::span<const entry> entries);
    /// A shard of the place now, sorted, cut by whatever digits. Each once.
    void add_now(std::span<const entry> sorted);

    struct shrunk_mount {
        std::string uuid;
        std::uint64_t before = 0;  ///< Entries in the sample.
        std::uint64_t now = 0;
    };
    /// The first mount, apart from those in `allowed`, that has fewer by limits::shrink_percent, and by more than
    /// chance explains. After all shards.
    [[nodiscard]] std::optional<shrunk_mount> find(const std::set<std::string>& allowed) const;

  private:
    struct counts {
        std::uint64_t before = 0;
        std::uint64_t now = 0;
        std::uint64_t now_everywhere = 0;  // Also outside of the sample.
    };
    std::vector<std::string> before_uuids_;
    std::vector<std::string> now_uuids_;
    std::vector<std::size_t> sample_;
    std::vector<std::string> prefixes_;  // Of the sample.
    std::map<std::string, counts> by_mount_;
};

}  // namespace keepstore::keepctl
