#include "base/utc_text.hpp"

#include <array>
#include <ctime>

namespace keepstore {

std::string utc_text(std::chrono::sys_seconds at) {
    const std::time_t seconds = at.time_since_epoch().count();
    std::tm parts{};
    if (!gmtime_r(&seconds, &parts)) return std::to_string(seconds);
    std::array<char, 40> text{};
    const auto length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
    return {text.data(), length};
}

}  // namespace keepstore
