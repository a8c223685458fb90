/// The JSON files of a repository: compact, keys in a fixed order, one line with a newline at its end, times in UTC.
///
///     keepctl-repository.json {"format":"keepctl-repository-1","repository":UUID,"cluster":...,"created_at":...}
///     snapshots/<id>/snapshot.json {"format":"keepctl-snapshot-1","id":...,"repository":...,"cluster":...,"scope":...,
///                                    "started_at":...,"completed_at":...,"digits":N,"mounts":[...],"objects":[...],
///                                    "blocks":N,"replicas":N,"bytes":N,"stored_bytes":N,"tool":...}
///     latest.json                    {"format":"keepctl-latest-1","repository":...,"sequence":N,"writer":...,
///                                    "written_at":...,"snapshots":[...],"removed":[...]}
///
/// Fields that are not known are ignored, and kept when latest.json is written again. An unknown format is
/// errc::unsupported, anything else that is wrong errc::checksum_mismatch, both with the reason. Pure functions.
#pragma once

#include "base/error.hpp"
#include "keepctl/cluster/block_place.hpp"
#include "keepctl/snapshot/snapshot_id.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::keepctl {

inline constexpr std::string_view repository_key = "keepctl-repository.json";
inline constexpr std::string_view latest_key = "latest.json";
inline constexpr std::string_view metadata_name = "snapshot.json";

struct repository_document {
    std::string repository;  ///< A random UUID.
    std::string cluster;
    std::chrono::sys_seconds created_at;
};

struct snapshot_mount {
    std::string uuid;
    std::string device_id;
    std::string server;
    std::int64_t replication = 1;
    std::vector<std::string> classes;
};

struct snapshot_object {
    std::string name;
    std::uint64_t bytes = 0;
    std::string sha256;
    std::uint64_t records = 0;
};

/// Sums over all objects of a snapshot.
struct snapshot_totals {
    std::uint64_t blocks = 0;
    std::uint64_t replicas = 0;
    std::uint64_t bytes = 0;         ///< Each block once.
    std::uint64_t stored_bytes = 0;  ///< Each replica.

    snapshot_totals& operator+=(const snapshot_totals& other) noexcept {
        blocks += other.blocks;
        replicas += other.replicas;
        bytes += other.bytes;
        stored_bytes += other.stored_bytes;
        return *this;
    }
    [[nodiscard]] bool operator==(const snapshot_totals&) const = default;
};

struct snapshot_document {
    snapshot_id id;
    std::string repository;
    std::string cluster;
    std::string scope;  ///< The place, as the command line named it.
    std::chrono::sys_seconds started_at;
    std::chrono::sys_seconds completed_at;
    unsigned digits = 0;
    std::vector<snapshot_mount> mounts;
    std::vector<snapshot_object> objects;  ///< One for each shard, in order.
    snapshot_totals totals;
    std::string tool;
};

/// An entry of latest.json: from its digest everything else of the snapshot can be checked.
struct listed_snapshot {
    snapshot_id id;
    std::uint64_t sequence = 0;
    std::chrono::sys_seconds listed_at;
    std::string metadata_sha256;
    std::uint64_t blocks = 0;
    std::uint64_t replicas = 0;
    std::uint64_t bytes = 0;
    std::string unknown = {};  ///< Other fields: the text of an object, or empty.
};

struct removed_snapshot {
    snapshot_id id;
    std::chrono::sys_seconds removed_at;
    std::string unknown = {};
};

struct latest_document {
    std::string repository;
    std::uint64_t sequence = 0;
    std::string writer;  ///< Random, of the process that wrote it: no two versions have the same bytes.
    std::chrono::sys_seconds written_at;
    std::vector<listed_snapshot> snapshots;  ///< Newest sequence first.
    std::vector<removed_snapshot> removed;   ///< Their objects are about to be deleted.
    std::string unknown = {};

    [[nodiscard]] const listed_snapshot* find(const snapshot_id& id) const;
    [[nodiscard]] bool has_removed(const snapshot_id& id) const;
};

[[nodiscard]] std::string encode(const repository_document&);
[[nodiscard]] std::string encode(const snapshot_document&);
[[nodiscard]] std::string encode(const latest_document&);

[[nodiscard]] result<repository_document> decode_repository(std::string_view text);
[[nodiscard]] result<snapshot_document> decode_snapshot(std::string_view text);
[[nodiscard]] result<latest_document> decode_latest(std::string_view text);

[[nodiscard]] snapshot_mount to_snapshot_mount(const mount_info& mount);

}  // namespace keepstore::keepctl
