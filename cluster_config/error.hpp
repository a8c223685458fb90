/// The one exception of the configuration loader. It is thrown while a file is decoded and caught at the entry points,
/// which return its text as a value; nothing outside cluster_config/ sees it.
#pragma once

#include <stdexcept>
#include <string>

namespace keepstore::cluster_config {

/// `what()` is one line for the operator: file and line, path of the key, what was found, what was expected. Secrets
/// are named by their path only.
class config_error : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

}  // namespace keepstore::cluster_config
