/// The keys of a cluster configuration that keepstore reads: one table for all of them. Adding a key: the member with
/// its default in cluster_config/config.hpp, and its row in keys.cpp.
#pragma once

#include "cluster_config/key.hpp"

namespace keepstore::cluster_config {

/// What is below Clusters.<id>.
[[nodiscard]] const key_table<cluster_settings>& cluster_keys();

}  // namespace keepstore::cluster_config
