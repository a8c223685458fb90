/// The scrubs of a server, as GET /_scrub shows them (docs/scrub.md). Pure.
#pragma once

#include "base/error.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::keepctl {

struct bad_copy {
    std::string block;
    std::string problem;
};

/// Of one device.
struct scrub_report {
    std::string mount;
    std::string state;  ///< starting, idle, running, stopped, finished, failed
    std::string reason;
    double progress = 0;  ///< 0 to 1.
    std::int64_t blocks_checked = 0;
    std::int64_t bytes_read = 0;
    std::int64_t bad = 0;
    std::int64_t unreadable = 0;
    std::int64_t repaired = 0;
    std::int64_t irreparable = 0;
    std::string last_complete_at;                   ///< Empty: never.
    std::vector<bad_copy> irreparable_copies = {};  ///< The first ones.

    [[nodiscard]] bool under_way() const noexcept { return state == "running" || state == "starting"; }
};

/// errc::io_error if it is not the response to that request.
[[nodiscard]] result<std::vector<scrub_report>> parse_scrubs(std::string_view json);

}  // namespace keepstore::keepctl
