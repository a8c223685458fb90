/// What a long command has done so far, so that the next run goes on there after a kill at any moment:
///
///     STATE/runs/9f0c...json
///     {"format":"keepctl-run-1","command":"replicate","fingerprint":"9f0c...","started_at":"2026-11-20T18:00:00Z",
///      "digits":2,"done":"<64 hex digits: bit i = shard i>","counts":{"copied":7},"tool":"keepctl 0.1.0"}
///
/// A shard counts as done when all of its blocks are: what failed is looked at again. Used by one thread; all calls
/// block for a moment.
#pragma once

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "keepctl/cluster/exit_code.hpp"
#include "keepctl/cluster/shards.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::keepctl {

struct saved_run {
    std::chrono::sys_seconds started_at;
    unsigned digits = 0;
    shard_set done{0};
    std::map<std::string, std::uint64_t> counts = {};
};

/// The first 16 hex digits of the SHA-256 of all parts: what makes two runs the same.
[[nodiscard]] std::string fingerprint_of(const std::vector<std::string>& parts);

/// Written, and read back strictly. \returns nothing for another format, command or fingerprint.
[[nodiscard]] std::string encode_run(const saved_run&, std::string_view command, std::string_view fingerprint);
[[nodiscard]] std::optional<saved_run> decode_run(std::string_view text, std::string_view command,
                                                  std::string_view fingerprint);

class checkpoint {
  public:
    /// Makes the folders and takes the lock. conflict: another run with the same fingerprint holds it; usage: the
    /// folder cannot be used.
    [[nodiscard]] static outcome<checkpoint> open(const std::string& state_folder, std::string command,
                                                  std::string fingerprint);

    /// The run to go on with, if there is one. `note` gets a line about a file that is ignored.
    [[nodiscard]] std::optional<saved_run> load(std::chrono::sys_seconds now, std::string& note) const;
    [[nodiscard]] result<void> save(const saved_run&) const;
    /// The run is over: nothing is left to go on with.
    void remove() const;

  private:
    checkpoint(std::string path, std::string command, std::string fingerprint, unique_fd lock)
        : path_(std::move(path)),
          command_(std::move(command)),
          fingerprint_(std::move(fingerprint)),
          lock_(std::move(lock)) {}

    std::string path_;
    std::string command_;
    std::string fingerprint_;
    unique_fd lock_;
};

}  // namespace keepstore::keepctl
