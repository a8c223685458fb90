/// Numbers of things, as people read them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace keepstore::keepctl {

/// "1,204,331"
[[nodiscard]] std::string grouped(std::uint64_t n);

/// "1 block", "2 blocks"; "1 copy", "1,000 copies".
[[nodiscard]] std::string count_of(std::uint64_t n, std::string_view noun);

}  // namespace keepstore::keepctl
