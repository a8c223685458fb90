/// The blocks that failed: all in the file of --failures, the first ones in memory. Used by one thread.
#pragma once

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "keepctl/cluster/block_names.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace keepstore::keepctl {

class failure_file {
  public:
    /// An empty path: only in memory.
    explicit failure_file(std::string path) : path_(std::move(path)) {}

    /// Makes the file, or empties it.
    [[nodiscard]] result<void> open();
    /// \returns false the first time that the file could not be written; see problem().
    [[nodiscard]] bool add(const block_failure& failure);
    void close();

    [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
    [[nodiscard]] const std::vector<block_failure>& first() const noexcept { return first_; }
    [[nodiscard]] const std::string& problem() const noexcept { return problem_; }

  private:
    const std::string path_;
    unique_fd file_;
    std::uint64_t count_ = 0;
    std::vector<block_failure> first_;  // At most limits::failures_printed_max.
    std::string problem_;
};

}  // namespace keepstore::keepctl
