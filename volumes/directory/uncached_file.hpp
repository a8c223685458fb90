/// A block's file read by somebody who has no further use for its bytes (the scrub): the page cache is left as it was.
/// With direct I/O where the file system has it, which also asks the medium and not the cache, and costs a third of the
/// CPU time; elsewhere through the cache, from which pages that were not there before are dropped again.
///
/// Safe to use from several threads at the same time; everything but the constructor blocks.
#pragma once

#include "volumes/directory/directory_core.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>

namespace keepstore::volumes::directory {

class uncached_file {
  public:
    uncached_file(std::shared_ptr<directory_core> core, std::shared_ptr<const unique_fd> file)
        : core_(std::move(core)), file_(std::move(file)) {}

    /// Fills `into` from `offset`; short only at the end of the file.
    [[nodiscard]] result<std::size_t> read(std::uint64_t offset, std::span<std::byte> into);

    /// Whether direct I/O was possible so far.
    [[nodiscard]] bool direct() const noexcept { return !refused_.load(std::memory_order_relaxed); }

  private:
    // A descriptor of our own: flags and advice would change the other one for everybody who reads from it.
    void open_own() noexcept;
    [[nodiscard]] bool direct_is_possible() noexcept;
    void give_up_direct() noexcept;
    // -1 with errno, as pread. 0 at the end of the file.
    [[nodiscard]] ssize_t read_direct(std::uint64_t offset, std::span<std::byte> into) noexcept;
    [[nodiscard]] ssize_t read_cached(std::uint64_t offset, std::span<std::byte> into) noexcept;

    const std::shared_ptr<directory_core> core_;
    const std::shared_ptr<const unique_fd> file_;
    std::once_flag once_;
    // Set by open_own, constant afterwards. None: there were no descriptors left.
    unique_fd own_;
    std::size_t memory_alignment_ = 512;
    std::atomic<bool> refused_{false};
};

}  // namespace keepstore::volumes::directory
