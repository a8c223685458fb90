/// The names of files in a Directory volume (docs/interface.md 4.1). Every name that is passed to a system call is made
/// here, from an md5_digest or a number; no text of a request is ever part of a path.
///
///     Root/abc/abcdef...            a block, 32 hex digits, in the folder of its first three
///     Root/abc/abcdef....trash.T    a block in the trash, to be deleted at T (seconds since 1970)
///     Root/abc/tmpabcdef...DIGITS   a block being written
///     Root/full -> T                the volume was found full at T (a symbolic link)
///     Root/.keepstore-probe         written for a moment, to see whether the storage works
#pragma once

#include "base/md5_digest.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace keepstore::volumes::directory {

inline constexpr unsigned block_dirs = 4096;  // 16^3 folders.
inline constexpr const char* probe_name = ".keepstore-probe";

/// The folder and file name of a block, null-terminated.
struct block_path {
    explicit block_path(const md5_digest& name);

    std::array<char, 4> dir{};
    std::array<char, 33> file{};
    std::array<char, 37> path{};  ///< "abc/abcdef..."
};

/// Returns the number of a block's folder, 0 to 4095.
[[nodiscard]] unsigned block_dir_index(const md5_digest& name) noexcept;
/// Returns the number of the folder with this name; nullopt unless it is three lower-case hex digits.
[[nodiscard]] std::optional<unsigned> parse_block_dir(std::string_view name) noexcept;

[[nodiscard]] std::string trash_name(const md5_digest& name, std::int64_t deadline);

struct trash_entry {
    md5_digest name;
    std::int64_t deadline;  ///< Seconds since 1970.
};
[[nodiscard]] std::optional<trash_entry> parse_trash_name(std::string_view name);

/// Returns a new name each time. It ends in 20 digits, the Go daemon's in at most 10, so that the name of a left-over
/// file shows which daemon made it.
[[nodiscard]] std::string temp_name(const md5_digest& name);

enum class temp_origin { ours, foreign };
/// Returns which kind of daemon made this temp file; nullopt if it is not the name of a temp file.
[[nodiscard]] std::optional<temp_origin> parse_temp_name(std::string_view name);

}  // namespace keepstore::volumes::directory
