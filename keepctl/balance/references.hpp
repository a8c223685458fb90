/// Which blocks are referenced, in how many copies. A file of references has lines, in any order,
///
///     acbd18db4cc2f85cedef654fccc4a4d8+3\n
///     acbd18db4cc2f85cedef654fccc4a4d8+3 default=2 archival=1\n
///     . acbd18db4cc2f85cedef654fccc4a4d8+3+Asig@time 0:3:a\n      a line of an Arvados manifest: begins with a dot
///
/// and ends with an empty line and nothing after it. A file that is cut, or has one line that is none of these, is
/// refused as a whole: a block that it does not name would be trashed.
#pragma once

#include "base/error.hpp"
#include "base/md5_digest.hpp"
#include "base/unique_fd.hpp"
#include "keepctl/balance/limits.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace keepstore::keepctl::balance {

/// One class of one block that is referenced. 32 bytes.
struct reference {
    static constexpr std::uint16_t by_rules = 0xffff;  ///< For class_number: as the rules have it.

    md5_digest block;
    std::uint32_t size = 0;
    std::uint16_t class_number = by_rules;  ///< Into reference_names::all.
    std::uint16_t copies = 0;
    std::uint32_t seen_at = 0;  ///< Seconds since 1970: when a file last had it.
    std::uint32_t reserved = 0;

    [[nodiscard]] bool operator==(const reference&) const = default;
};
static_assert(sizeof(reference) == 32);

/// Names of storage classes as they come up.
struct reference_names {
    std::vector<std::string> all;
    /// errc::too_large beyond limits::balance_classes_max.
    [[nodiscard]] result<std::uint16_t> number_of(std::string_view name);
};

/// Parses a file of references as it is read, in pieces of any size. After an error it must not be used any more.
class reference_parser {
  public:
    /// `names` outlives it.
    reference_parser(reference_names& names, std::uint32_t seen_at) : names_(names), seen_at_(seen_at) {}

    /// Appends the references of what ends in this piece. \returns errc::bad_request "line N: ...".
    [[nodiscard]] result<void> parse(std::string_view piece, std::vector<reference>& out);
    /// After the last piece: errc::bad_request if the file is cut off.
    [[nodiscard]] result<void> expect_end() const;

  private:
    enum class state { line_start, plain, stream_name, locators, file_parts, ended };

    [[nodiscard]] result<void> end_plain(std::vector<reference>& out);
    [[nodiscard]] result<void> end_word(bool line_ends, std::vector<reference>& out);
    [[nodiscard]] std::unexpected<error> bad(std::string_view what) const;

    reference_names& names_;
    const std::uint32_t seen_at_;
    state state_ = state::line_start;
    std::string text_;  // Of the line, or of the word of a manifest, so far; at most limits::balance_line_bytes_max.
    std::uint64_t line_ = 1;
};

/// References of all files, by the first byte of their blocks: in memory up to a limit, the rest in a file without a
/// name. Used by one thread, but for load(), which several may call while nothing is added. All calls block.
class reference_spool {
  public:
    /// Temporary data goes to a file in `folder`, once more than `memory_bytes` have come.
    reference_spool(std::string folder, std::size_t memory_bytes);

    [[nodiscard]] result<void> add(std::span<const reference> some);
    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

    /// All whose block begins with `prefix` (lower-case hex digits), sorted by block, size, and class; of equal ones
    /// the most copies and the latest time.
    [[nodiscard]] result<std::vector<reference>> load(std::string_view prefix) const;

  private:
    static constexpr std::size_t parts = 256;
    struct chunk {
        std::uint64_t offset;
        std::uint64_t count;
    };
    [[nodiscard]] result<void> spill();

    const std::string folder_;
    const std::size_t memory_bytes_;
    std::array<std::vector<reference>, parts> recent_;
    std::array<std::vector<chunk>, parts> chunks_;
    std::uint64_t in_memory_ = 0;
    std::uint64_t size_ = 0;
    std::uint64_t file_size_ = 0;
    unique_fd file_;
};

/// Reads the whole file, "-" for standard input, into the spool. \returns the number of references; errc::bad_request
/// "FILE: line N: ...".
[[nodiscard]] result<std::uint64_t> read_references(const std::string& path, reference_names& names,
                                                    std::uint32_t seen_at, reference_spool& into);

}  // namespace keepstore::keepctl::balance
