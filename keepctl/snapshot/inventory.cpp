#include "keepctl/snapshot/inventory.hpp"

#include "base/crc32c.hpp"
#include "base/hex.hpp"
#include "base/limits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <tuple>
#include <utility>

namespace keepstore::keepctl {
namespace {

constexpr std::string_view header_magic = "KEEPINV1";
constexpr std::string_view trailer_magic = "KEEPEND1";
constexpr std::size_t header_nonce_at = 0x10;
constexpr std::size_t header_digits_at = 0x18;
constexpr std::size_t header_prefix_at = 0x19;
constexpr std::size_t header_crc_at = 0x3c;
constexpr std::size_t trailer_crc_at = inventory_trailer_bytes - 4;

template <class Number>
void put(std::span<std::byte> out, std::size_t at, Number value) {
    std::memcpy(out.data() + at, &value, sizeof value);
}
void put_text(std::span<std::byte> out, std::size_t at, std::string_view text) {
    std::memcpy(out.data() + at, text.data(), text.size());
}

template <std::size_t Size>
void seal(std::array<std::byte, Size>& out) {
    put(std::span(out), Size - 4, crc32c(std::span(out).first(Size - 4)));
}

std::array<std::byte, inventory_header_bytes> make_header(const snapshot_id& id, std::string_view prefix) {
    std::array<std::byte, inventory_header_bytes> out{};
    put_text(out, 0, header_magic);
    put(std::span(out), 8, static_cast<std::uint16_t>(inventory_header_bytes));
    put(std::span(out), 10, static_cast<std::uint16_t>(sizeof(entry)));
    put(std::span(out), 12, static_cast<std::uint32_t>(inventory_checksum_records));
    put(std::span(out), header_nonce_at, id.nonce());
    put(std::span(out), header_digits_at, static_cast<std::uint8_t>(prefix.size()));
    put_text(out, header_prefix_at, prefix);
    static_assert(header_crc_at == inventory_header_bytes - 4);
    seal(out);
    return out;
}

std::vector<std::uint32_t> checksums_of(std::span<const entry> entries) {
    std::vector<std::uint32_t> out;
    for (; !entries.empty(); entries = entries.subspan(std::min(entries.size(), inventory_checksum_records)))
        out.push_back(crc32c(std::as_bytes(entries.first(std::min(entries.size(), inventory_checksum_records)))));
    return out;
}

std::array<std::byte, inventory_trailer_bytes> make_trailer(std::uint64_t records,
                                                            const std::vector<std::uint32_t>& checksums) {
    std::array<std::byte, inventory_trailer_bytes> out{};
    put_text(out, 0, trailer_magic);
    put(std::span(out), 8, records);
    put(std::span(out), 16, static_cast<std::uint32_t>(checksums.size()));
    put(std::span(out), 20, crc32c(std::as_bytes(std::span(checksums))));
    static_assert(trailer_crc_at == 28);
    seal(out);
    return out;
}

std::unexpected<error> damaged(std::string text) {
    return fail(errc::checksum_mismatch, std::move(text));
}

/// Whether a record may stand where it does.
std::string wrong_with(const entry& e, const entry* before, const inventory_expected& expected) {
    if (before && std::tie(before->block, before->mount) >= std::tie(e.block, e.mount)) return "is out of order";
    for (std::size_t i = 0; i < expected.prefix.size(); ++i) {
        const int byte = e.block.bytes[i / 2];
        if ((i % 2 == 0 ? byte >> 4 : byte & 15) != hex_value(expected.prefix[i])) return "is of another shard";
    }
    if (e.size > limits::block_size_bytes_max) return "has an impossible size";
    if (e.mount >= expected.mounts) return "is on a mount that the snapshot does not have";
    if (e.flags != 0) return "has flags that are not known";
    return {};
}

}  // namespace

inventory::inventory(const snapshot_id& id, std::string_view prefix, std::vector<entry> sorted)
    : header_(make_header(id, prefix)),
      entries_(std::move(sorted)),
      checksums_(checksums_of(entries_)),
      trailer_(make_trailer(entries_.size(), checksums_)) {}

void inventory::copy(std::uint64_t offset, std::span<std::byte> out) const {
    const std::array<std::span<const std::byte>, 4> parts{std::span(header_), std::as_bytes(std::span(entries_)),
                                                          std::as_bytes(std::span(checksums_)), std::span(trailer_)};
    for (const auto& part : parts) {
        if (offset >= part.size()) {
            offset -= part.size();
            continue;
        }
        const auto count = std::min<std::size_t>(out.size(), part.size() - static_cast<std::size_t>(offset));
        if (count > 0) std::memcpy(out.data(), part.data() + offset, count);
        out = out.subspan(count);
        offset = 0;
    }
}

std::span<const entry> inventory_buffer::entries() const noexcept {
    std::uint64_t count = 0;
    std::memcpy(&count, bytes().data() + size_ - inventory_trailer_bytes + 8, sizeof count);
    return std::span(storage_).subspan(inventory_header_bytes / sizeof(entry), count);
}

result<std::span<const entry>> inventory_buffer::decode(const inventory_expected& expected) const {
    const auto all = bytes();
    if (all.size() < inventory_header_bytes + inventory_trailer_bytes) return damaged("it is too short");
    // Only one header is right for this object, and, given the records, only one trailer: both are compared as a whole.
    const auto header = make_header(expected.id, expected.prefix);
    if (std::memcmp(all.data(), header.data(), header.size()) != 0)
        return damaged("its header is not that of this part of this snapshot");
    std::uint64_t count = 0;
    std::memcpy(&count, all.data() + all.size() - inventory_trailer_bytes + 8, sizeof count);
    if (count > all.size() / sizeof(entry) || inventory_bytes(count) != all.size())
        return damaged("its size does not fit its number of records");
    const auto records = entries();
    const auto checksums = checksums_of(records);
    const auto* const stored = all.data() + inventory_header_bytes + records.size_bytes();
    for (std::size_t i = 0; i < checksums.size(); ++i) {
        if (std::memcmp(stored + 4 * i, &checksums[i], 4) != 0)
            return damaged(fmt::format("the checksum of records {} to {} is wrong", i * inventory_checksum_records,
                                       std::min<std::uint64_t>(count, (i + 1) * inventory_checksum_records) - 1));
    }
    const auto trailer = make_trailer(count, checksums);
    if (std::memcmp(all.data() + all.size() - trailer.size(), trailer.data(), trailer.size()) != 0)
        return damaged("its trailer is wrong");
    const entry* before = nullptr;
    for (const auto& e : records) {
        if (auto why = wrong_with(e, before, expected); !why.empty())
            return damaged(fmt::format("record {} {}", &e - records.data(), why));
        before = &e;
    }
    return records;
}

}  // namespace keepstore::keepctl
