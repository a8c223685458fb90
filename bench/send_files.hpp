/// The blocks that keepstore_send_paths serves: the files of a Directory volume, open for good, with
/// their waypoints in memory. Read only after load(), by any thread.
#pragma once

#include "base/md5_digest.hpp"
#include "digest/waypoints.hpp"

#include <sys/stat.h>

#include <cstddef>
#include <string>
#include <unordered_map>

namespace keepstore::bench {

struct send_file {
    int fd = -1;  ///< Stays open until the process ends.
    std::size_t size = 0;
    md5_digest name;
    digest::waypoints points;
    const std::byte* mapping = nullptr;  ///< Of the whole file, likewise for good.
    struct ::stat seen{};                ///< When the waypoints were made.

    /// Whether size, mtime and ctime are unchanged, which tells that pages did not change between
    /// their check and their sending. (A file that was replaced by rename is another one; this one
    /// stays as it was.)
    [[nodiscard]] bool unchanged() const;
};

class send_files {
  public:
    /// Opens every block below `root` whose size is a multiple of 64 (what write tools make), and
    /// hashes it. Throws std::system_error; std::runtime_error if a file does not have the MD5 in its name.
    void load(const std::string& root);

    [[nodiscard]] const send_file* find(std::string_view name) const;
    [[nodiscard]] std::size_t count() const { return files_.size(); }

  private:
    std::unordered_map<md5_digest, send_file> files_;
};

}  // namespace keepstore::bench
