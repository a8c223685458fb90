/// Extended attributes of open files and directories, in the `user.` namespace: small named values outside of the
/// content, which other programs neither see nor lose. Blocks; safe to call from any thread.
#pragma once

#include "volumes/directory/directory_core.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace keepstore::volumes::directory {

/// Reads an attribute; `name` is without the namespace. errc::not_found if there is none, errc::unsupported where the
/// file system keeps none.
[[nodiscard]] result<std::vector<std::byte>> load_attribute(directory_core& core, int fd, const std::string& name);

/// Stores an attribute, without a sync. errc::unsupported also where there is no room for it.
[[nodiscard]] result<void> save_attribute(directory_core& core, int fd, const std::string& name,
                                          const std::vector<std::byte>& value);

}  // namespace keepstore::volumes::directory
