/// Downloads of one block of a container. The metadata come with the block: no request of their own.
#pragma once

#include "volumes/azure/azure_core.hpp"
#include "volumes/cloud/object_source.hpp"

#include <memory>
#include <optional>

namespace keepstore::volumes::azure {

class azure_source final : public cloud::object_source {
  public:
    azure_source(std::shared_ptr<azure_core> core, cloud::download_target what)
        : core_(std::move(core)), what_(std::move(what)) {}

    /// A blob that another program is just writing is waited for, if the target says so; else it counts as missing.
    [[nodiscard]] awaitable<result<protocol::object_download>> open(std::optional<protocol::byte_range> range) override;
    [[nodiscard]] awaitable<result<protocol::object_download>> open_range(protocol::byte_range range) override;
    [[nodiscard]] awaitable<result<protocol::name_values>> metadata(deadline until) override;

  private:
    [[nodiscard]] awaitable<result<protocol::object_download>> get(std::optional<protocol::byte_range> range,
                                                                   std::string if_match);
    /// Gets the blob that `opened` describes, which may have been touched, trashed or untrashed meanwhile.
    [[nodiscard]] awaitable<result<protocol::object_download>> get_opened(std::optional<protocol::byte_range> range,
                                                                          const protocol::object_info& opened);

    const std::shared_ptr<azure_core> core_;
    const cloud::download_target what_;
    protocol::object_info found_;  ///< Set by open(), before the others are called.
};

}  // namespace keepstore::volumes::azure
