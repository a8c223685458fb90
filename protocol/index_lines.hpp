/// The text of an index (docs/interface.md 2.14, 5.4), both ends. A line for each copy of a block, and an empty line
/// that says that the list is complete:
///
///     acbd18db4cc2f85cedef654fccc4a4d8+3 1767225600123456789\n
///     37b51d194a7513e45b56f6524f2d51f2+3 1767225601000000000\n
///     \n
#pragma once

#include "base/error.hpp"
#include "base/limits.hpp"
#include "base/md5_digest.hpp"
#include "base/units.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace keepstore::protocol {

struct index_line {
    md5_digest block;
    std::uint64_t size = 0;  ///< Bytes.
    std::int64_t mtime = 0;  ///< Nanoseconds since 1970.

    [[nodiscard]] bool operator==(const index_line&) const = default;
};

/// Appends the line "hash+size mtime\n".
void append_index_line(std::string& text, const index_line& line);

/// What follows the last line of a complete index. Nothing follows it.
inline constexpr std::string_view index_end = "\n";

/// Parses an index as it arrives, in pieces of any size. Strict, since decisions about deleting blocks rest on it: what
/// is not exactly an index is an error, and a list without its end is not complete. After an error it must not be used
/// any more. Belongs to one coroutine.
class index_parser {
  public:
    /// Longer lines are refused, by keep-balance too. The longest that parses has 93 characters.
    static constexpr std::size_t line_bytes_max = 64 * KiB;

    /// \param prefix  the lower-case hex digits with which all names begin, as they were requested.
    explicit index_parser(std::string prefix = {}) : prefix_(std::move(prefix)) {}

    /// Appends the lines that end in this piece, but for those with a size above limits::block_size_bytes_max: such
    /// files are no blocks, and are only counted. An mtime below 10^12 is in seconds, unless that is out of range.
    /// \returns errc::io_error with the number of the line for one that is malformed or too long, a name without the
    /// prefix, or bytes after the end.
    [[nodiscard]] result<void> parse(std::string_view piece, std::vector<index_line>& out);

    /// After the last piece: errc::io_error if the index is cut off.
    [[nodiscard]] result<void> expect_end() const;

    /// Lines that were left out for their size.
    [[nodiscard]] std::uint64_t too_large() const noexcept { return too_large_; }
    /// After an error: the beginning of the line, ? for what is not printable. For logs of the operator's own.
    [[nodiscard]] const std::string& bad_line() const noexcept { return bad_line_; }

  private:
    [[nodiscard]] result<index_line> parse_line(std::string_view text);

    const std::string prefix_;
    std::string begun_;  // Of a line whose end has not arrived; at most line_bytes_max.
    bool ended_ = false;
    std::uint64_t lines_ = 0;
    std::uint64_t too_large_ = 0;
    std::string bad_line_;
};

}  // namespace keepstore::protocol
