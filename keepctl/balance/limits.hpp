/// Limits of balance, with their reasons; see base/limits.hpp.
#pragma once

#include <cstddef>

namespace keepstore::limits {

/// Storage classes of a cluster: a decision has a bit for each. Clusters have a handful.
inline constexpr std::size_t balance_classes_max = 64;
/// Mounts of all servers: a decision sorts them, and numbers them with 16 bits. Clusters have some hundred.
inline constexpr std::size_t balance_mounts_max = 4096;

}  // namespace keepstore::limits
