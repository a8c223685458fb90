/// A volume that the tool opens itself, as a place.
#pragma once

#include "keepctl/cluster/block_place.hpp"
#include "volumes/volume.hpp"

#include <memory>
#include <string>

namespace keepstore::keepctl {

[[nodiscard]] std::unique_ptr<block_place> make_opened_volume(std::string name, mount_info mount,
                                                              std::unique_ptr<volumes::volume> volume);

}  // namespace keepstore::keepctl
