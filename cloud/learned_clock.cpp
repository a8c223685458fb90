#include "cloud/learned_clock.hpp"

#include "base/log.hpp"
#include "cloud/limits.hpp"

#include <fmt/format.h>

namespace keepstore::cloud {

bool learned_clock::learn(const request_failure& f, std::chrono::milliseconds& used) {
    if (!f.clock_offset) return false;
    // Also after a 403 without a reason (HEAD), and for services without an error code for signatures that are too old.
    if (f.kind != error_kind::clock_skew && f.kind != error_kind::access_denied &&
        f.kind != error_kind::bad_credentials) {
        return false;
    }
    const auto offset = std::chrono::abs(*f.clock_offset) < limits::cloud_clock_skew_tolerated
                            ? std::chrono::milliseconds(0)
                            : *f.clock_offset;
    if (std::chrono::abs(offset - used) < limits::cloud_clock_skew_tolerated) return false;
    used = offset;
    skew_.store(offset.count(), std::memory_order_relaxed);
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(offset).count();
    if (seconds == 0) {
        log::info(fmt::format("the clocks of this machine and of the {} service agree again", service_));
    } else {
        log::warning(
            fmt::format("the clocks of this machine and of the {} service differ; requests are signed with the "
                        "service's time",
                        service_),
            {{"seconds", std::int64_t{seconds}}});
    }
    return true;
}

}  // namespace keepstore::cloud
