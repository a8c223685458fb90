/// Reads a block's file and leaves the page cache as it was, for readers of bytes that are used once (the scrub). With
/// direct I/O where the file system has it, which also reads the medium and not the cache, and takes a third of the CPU
/// time; elsewhere through the cache, from which pages that were not there before are dropped again.
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

/// Alignment of offsets and lengths of direct reads: every device takes pages.
inline constexpr std::size_t direct_read_unit = 4096;

class uncached_file {
  public:
    uncached_file(std::shared_ptr<directory_core> core, std::shared_ptr<const unique_fd> file)
        : core_(std::move(core)), file_(std::move(file)) {}

    /// Reads into `into` from `offset`. \returns the bytes read; fewer than `into` only at the end of the file.
    [[nodiscard]] result<std::size_t> read(std::uint64_t offset, std::span<std::byte> into);

    /// Returns whether direct I/O was possible so far.
    [[nodiscard]] bool direct() const noexcept { return !refused_.load(std::memory_order_relaxed); }

  private:
    // Opens a descriptor of our own: flags and advice set on file_ would affect its other readers.
    void open_own() noexcept;
    [[nodiscard]] bool direct_is_possible() noexcept;
    // Like pread: -1 with errno; 0 at the end of the file.
    [[nodiscard]] ssize_t read_direct(std::uint64_t offset, std::span<std::byte> into) noexcept;
    [[nodiscard]] ssize_t read_cached(std::uint64_t offset, std::span<std::byte> into) noexcept;

    const std::shared_ptr<directory_core> core_;
    const std::shared_ptr<const unique_fd> file_;
    std::once_flag once_;
    // Set by open_own, constant afterwards. Empty if the process had no descriptor left.
    unique_fd own_;
    std::size_t memory_alignment_ = 512;
    std::atomic<bool> refused_{false};
};

}  // namespace keepstore::volumes::directory
