/// The text of conf/keepstore.full.yml: every key with its default and its meaning, written from the tables of keys.
#pragma once

#include <string>

namespace keepstore::reports {

/// Pure. `keepstore -config-reference` prints it.
[[nodiscard]] std::string config_reference();

}  // namespace keepstore::reports
