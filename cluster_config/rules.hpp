/// Rules about several keys of a cluster (docs/interface.md 1.6, 1.7, 1.10, 1.11). An implementation detail of the
/// loader.
#pragma once

#include "cluster_config/reader.hpp"

namespace keepstore::cluster_config {

struct cluster_settings;

/// Refuses combinations that cannot work, fills in the implicit storage class, and warns about combinations that are
/// allowed and probably not meant. `in` is the cluster's section, from which `out` was decoded.
/// \throws config_error
void apply_rules(const config_reader& in, cluster_settings& out);

}  // namespace keepstore::cluster_config
