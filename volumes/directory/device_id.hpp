/// The identity of the storage under a Directory volume (docs/interface.md 4.3): "<fs-uuid><path below the mount
/// point>", the same for every daemon that serves it. Found as the Go daemon finds it, from the mount table and
/// /dev/disk/by-uuid, but without running findmnt. Blocks.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace keepstore::volumes::directory {

/// Returns the identity of `root`, an existing directory; "<hostname>:<root>", with a line in the log, where it has
/// none.
[[nodiscard]] std::string find_device_id(const std::string& root);

/// Returns the identity by UUID, or an empty string where there is none.
[[nodiscard]] std::string filesystem_uuid(const std::string& root);
/// Returns what is mounted at or above `root`: type, source and the part of it. Empty where that is unknown.
[[nodiscard]] std::string mount_source(const std::string& root);

struct mount_entry {
    std::string source;  ///< "/dev/sda1", "tmpfs".
    std::string mount_point;
    std::string fs_root;    ///< The directory of the file system that is mounted there: "/" unless it is a bind mount.
    std::string type = {};  ///< "ext4".
};

/// Finds the mount that `path` (without symbolic links) is on, in the text of /proc/self/mountinfo (proc(5)).
[[nodiscard]] std::optional<mount_entry> mount_of(std::string_view mountinfo, std::string_view path);

}  // namespace keepstore::volumes::directory
