/// The identity of the storage under a Directory volume (docs/interface.md 4.3): "<fs-uuid><path below the mount
/// point>", the same for every daemon that serves it. Found as the Go daemon finds it, from the mount table and
/// /dev/disk/by-uuid, but without running findmnt. Blocks; at start only.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace keepstore::volumes::directory {

/// `root`: an existing directory. Where the identity cannot be told: "<hostname>:<root>" and a line in the log.
[[nodiscard]] std::string find_device_id(const std::string& root);

struct mount_entry {
    std::string source;  ///< "/dev/sda1", "tmpfs".
    std::string mount_point;
    std::string fs_root;  ///< What of the file system is mounted there; "/" unless it is a part.
};

/// The mount that `path` (without symbolic links) is on, from the text of /proc/self/mountinfo (proc(5)).
[[nodiscard]] std::optional<mount_entry> mount_of(std::string_view mountinfo, std::string_view path);

}  // namespace keepstore::volumes::directory
