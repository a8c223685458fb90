/// The identity of the storage under a Directory volume (docs/interface.md 4.3): "<fs-uuid><path below the mount
/// point>", the same for every daemon that serves it. Found as the Go daemon finds it, from the mount table and
/// /dev/disk/by-uuid, but without running findmnt. Blocks; at start only.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace keepstore::volumes::directory {

/// Returns the identity of `root`, an existing directory; "<hostname>:<root>", with a line in the log, where it has
/// none.
[[nodiscard]] std::string find_device_id(const std::string& root);

struct mount_entry {
    std::string source;  ///< "/dev/sda1", "tmpfs".
    std::string mount_point;
    std::string fs_root;  ///< The directory of the file system that is mounted there: "/" unless it is a bind mount.
};

/// Finds the mount that `path` (without symbolic links) is on, in the text of /proc/self/mountinfo (proc(5)).
[[nodiscard]] std::optional<mount_entry> mount_of(std::string_view mountinfo, std::string_view path);

}  // namespace keepstore::volumes::directory
