/// A locator names a block: `hash[+size][+hint...]`, e.g. `acbd18db4cc2f85cedef654fccc4a4d8+3+Asig@expiry`
/// (docs/interface.md 3.1, 8.1). A value type.
#pragma once

#include "base/error.hpp"
#include "base/limits.hpp"
#include "base/md5_digest.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace keepstore::protocol {

struct locator {
    md5_digest hash;
    std::optional<std::uint64_t> size;  ///< The size hint, at most limits::block_size_bytes_max.
    bool signed_here = false;           ///< Has a hint that starts with A: a permission signature.
    bool remote = false;                ///< Has a hint that starts with R: belongs to another cluster.
    std::string text;                   ///< The whole locator, unchanged.

    /// `hash` or `hash+size`, without hints: safe to log.
    [[nodiscard]] std::string bare() const;

    /// Parses 32 lower-case hex digits followed by hints. The size, if any, comes first: 1 to 8 decimal digits within
    /// the block size limit (stricter than the Go daemon, which takes sizes such as +-5 or +3x as none or worse:
    /// docs/compatibility.md). Empty hints are refused; unknown ones are kept. \returns errc::bad_request "invalid
    /// locator".
    [[nodiscard]] static result<locator> parse(std::string_view text);
};

}  // namespace keepstore::protocol
