/// Lists of blocks in files: NDJSON of failures ({"hash":...,"size":...}), or lines "hash[+size]".
#pragma once

#include "base/md5_digest.hpp"

#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::keepctl {

/// One line of the failures file.
struct block_failure {
    md5_digest block;
    std::uint32_t size = 0;
    std::string outcome;  ///< "failed", "bad_source".
    std::string reason;
    std::string server = {};  ///< Where it failed: a server, or a place; empty if that is not known.
};
[[nodiscard]] std::string failure_line(const block_failure&);

/// Parses either form; empty lines and lines that begin with # are skipped. Sorted, each once.
/// \returns "line N: ..." for anything else.
[[nodiscard]] std::expected<std::vector<md5_digest>, std::string> parse_block_names(std::string_view text);

/// Whether any of the sorted names begins with these hex digits.
[[nodiscard]] bool has_prefix(std::span<const md5_digest> sorted, std::string_view prefix);

}  // namespace keepstore::keepctl
