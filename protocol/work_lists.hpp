/// The pull list and the trash list that a balance tool sends (docs/interface.md 2.16, 5.1, 5.2): what is in them, and
/// queues that a new list replaces as a whole.
#pragma once

#include "base/error.hpp"
#include "protocol/locator.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::protocol {

struct pull_item {
    std::string locator;               ///< hash+size
    std::vector<std::string> servers;  ///< URL bases without trailing slash.
    std::string mount_uuid;            ///< Empty: the first writable mount in rendezvous order.
};

struct trash_item {
    std::string locator;           ///< hash+size or hash
    std::int64_t block_mtime = 0;  ///< Nanoseconds since 1970; the copy must have exactly this mtime.
    std::string mount_uuid;        ///< Empty: every mount that allows it.
};

/// JSON as keep-balance sends it: null and [] are the empty list, unknown fields are ignored, field names match without
/// regard to case, bytes after the first value are ignored. io_error ("500") with a text for malformed JSON as the Go
/// daemon; errc::bad_request for a pull list whose locators lack sizes; errc::too_large beyond
/// limits::work_list_items_max and limits::pull_item_servers_max.
[[nodiscard]] result<std::vector<pull_item>> parse_pull_list(std::string_view json);
[[nodiscard]] result<std::vector<trash_item>> parse_trash_list(std::string_view json);

}  // namespace keepstore::protocol
