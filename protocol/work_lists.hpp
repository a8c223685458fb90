/// The pull list and the trash list that a balance tool sends to a keepstore (docs/interface.md 2.16, 5.1, 5.2), both
/// ends: their items, the parser and the encoder. Value types and pure functions.
///
///     [{"locator":"acbd18db4cc2f85cedef654fccc4a4d8+3","servers":["http://keep1:25107"],"mount_uuid":""}]
///     [{"locator":"acbd18db4cc2f85cedef654fccc4a4d8+3","block_mtime":1767225600123456789,"mount_uuid":""}]
#pragma once

#include "base/error.hpp"
#include "protocol/limits.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::protocol {

struct pull_item {
    std::string locator;               ///< hash+size
    std::vector<std::string> servers;  ///< URL bases without trailing slash.
    std::string mount_uuid;            ///< Empty: the first writable mount in rendezvous order.

    [[nodiscard]] bool operator==(const pull_item&) const = default;
};

struct trash_item {
    std::string locator;           ///< hash+size or hash
    std::int64_t block_mtime = 0;  ///< Nanoseconds since 1970; the copy must have exactly this mtime.
    std::string mount_uuid;        ///< Empty: every mount that allows it.

    [[nodiscard]] bool operator==(const trash_item&) const = default;
};

/// Parses a list as the Go daemon does: null and [] are the empty list, unknown fields are ignored, field names match
/// in any letter case, bytes after the first value are ignored.
/// \returns errc::io_error (status 500) for malformed JSON or a field of the wrong type; bad_request for a pull list
/// whose locators lack sizes; too_large beyond limits::work_list_items_max and limits::pull_item_servers_max.
[[nodiscard]] result<std::vector<pull_item>> parse_pull_list(std::string_view json);
[[nodiscard]] result<std::vector<trash_item>> parse_trash_list(std::string_view json);

/// The list as JSON, one item a line. What it gives is parsed to the same items; texts that are no UTF-8 are altered.
[[nodiscard]] std::string encode_list(std::span<const pull_item> items);
[[nodiscard]] std::string encode_list(std::span<const trash_item> items);

}  // namespace keepstore::protocol
