/// The inventory of one shard as bytes, which never change once they are written. All numbers are little endian:
///
///     00  "KEEPINV1", u16 header bytes 64, u16 record bytes 32, u32 records per checksum 2048
///     10  8 bytes: the nonce of the snapshot; u8 prefix digits; 8 bytes: the prefix in ASCII; zeros
///     3c  u32 CRC-32C of bytes 00 to 3b
///     40  records: md5, u32 size, u16 index into the snapshot's mounts, u16 flags (0), i64 mtime in ns
///         one u32 CRC-32C for each 2048 records
///         trailer, 32 bytes: "KEEPEND1", u64 records, u32 checksums, u32 CRC-32C of the checksums, u32 0,
///         u32 CRC-32C of the trailer before it
///
/// Records ascend strictly by (md5, mount) and begin with the prefix. A reader checks all of that, so that a cut,
/// reordered or foreign object is an error before its first record is used. A record is an `entry` as it is in memory.
/// Values; used by one thread at a time.
#pragma once

#include "base/error.hpp"
#include "base/sha256.hpp"
#include "keepctl/cluster/entry.hpp"
#include "keepctl/snapshot/object_bytes.hpp"
#include "keepctl/snapshot/snapshot_id.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::keepctl {

static_assert(std::endian::native == std::endian::little, "records are written as they are in memory");

inline constexpr std::size_t inventory_header_bytes = 64;
inline constexpr std::size_t inventory_trailer_bytes = 32;
inline constexpr std::size_t inventory_checksum_records = 2048;

/// The size of an inventory with this many records.
[[nodiscard]] constexpr std::uint64_t inventory_bytes(std::uint64_t records) noexcept {
    const auto checksums = (records + inventory_checksum_records - 1) / inventory_checksum_records;
    return inventory_header_bytes + records * sizeof(entry) + checksums * 4 + inventory_trailer_bytes;
}

/// Entries in the format above, without a copy of them.
class inventory final : public object_bytes {
  public:
    /// \param sorted  as sort_entries() leaves them, all with this prefix.
    inventory(const snapshot_id& id, std::string_view prefix, std::vector<entry> sorted);

    [[nodiscard]] std::uint64_t size() const noexcept override { return inventory_bytes(entries_.size()); }
    void copy(std::uint64_t offset, std::span<std::byte> out) const override;
    [[nodiscard]] std::span<const entry> entries() const noexcept { return entries_; }
    /// Takes the memory back, for the next shard.
    [[nodiscard]] std::vector<entry> release() && { return std::move(entries_); }

  private:
    std::array<std::byte, inventory_header_bytes> header_{};
    std::vector<entry> entries_;
    std::vector<std::uint32_t> checksums_;
    std::array<std::byte, inventory_trailer_bytes> trailer_{};
};

/// What the metadata of a snapshot say about an inventory.
struct inventory_expected {
    const snapshot_id& id;
    std::string_view prefix;
    std::size_t mounts = 0;  ///< Records refer to mounts below this.
};

/// Memory for an inventory that is read.
class inventory_buffer {
  public:
    explicit inventory_buffer(std::uint64_t bytes)
        : storage_((bytes + sizeof(entry) - 1) / sizeof(entry)), size_(bytes) {}

    [[nodiscard]] std::span<std::byte> bytes() noexcept {
        return std::as_writable_bytes(std::span(storage_)).first(size_);
    }
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
        return std::as_bytes(std::span(storage_)).first(size_);
    }
    /// Checks everything. \returns the records, which live in the buffer; errc::checksum_mismatch with the reason.
    [[nodiscard]] result<std::span<const entry>> decode(const inventory_expected&) const;

    /// The records of a buffer that decode() has accepted.
    [[nodiscard]] std::span<const entry> entries() const noexcept;

  private:
    std::vector<entry> storage_;  // So that records are aligned: the header takes as much as two of them.
    std::size_t size_;
};

}  // namespace keepstore::keepctl
