#include "volumes/directory/missing_features.hpp"

#include "base/log.hpp"

#include <cerrno>

namespace keepstore::volumes::directory {
namespace {

// What an operator should know; empty where nothing is weaker.
const char* consequence_of(feature f) {
    switch (f) {
        case feature::rename_noreplace:
            return "";
        case feature::hard_links:
            return "the file system has neither RENAME_NOREPLACE nor hard links: an untrash can replace a copy of the "
                   "same block that another program stores at that moment";
        case feature::file_locks:
            return "the file system has no flock: touch and trash do not exclude other programs on this volume, and "
                   "left-over temp files are removed after a day only";
        case feature::directory_sync:
            return "the file system does not sync directories: after a power cut the names of acknowledged blocks may "
                   "be missing";
        case feature::statx:
            return "statx is refused: fstatat is used instead, and the alignment for direct I/O is found by trying";
        case feature::lasting_inodes:
            return "the inode numbers of the file system change: it is not noticed when another program replaces a "
                   "block that is being touched or trashed";
    }
    return "";
}

}  // namespace

bool is_unsupported(int number) noexcept {
    return number == EINVAL || number == ENOSYS || number == EOPNOTSUPP || number == ENOTSUP;
}

void missing_features::found(feature f) {
    if ((found_.fetch_or(bit(f), std::memory_order_relaxed) & bit(f)) != 0) return;
    if (const std::string text = consequence_of(f); !text.empty()) log::warning(text, {{"DeviceRoot", root_}});
}

}  // namespace keepstore::volumes::directory
