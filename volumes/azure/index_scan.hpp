/// The index of a container: the blobs that are blocks and not in the trash.
#pragma once

#include "volumes/azure/azure_core.hpp"
#include "volumes/cloud/parallel_listing.hpp"

#include <memory>
#include <string>

namespace keepstore::volumes::azure {

class index_scan final : public cloud::parallel_listing {
  public:
    /// \param digits  lower-case hex, at most 32.
    index_scan(const std::shared_ptr<azure_core>& core, std::string digits, deadline until)
        : parallel_listing(core->loops, std::move(digits), until, core->options.parallel_index), core_(core) {}

  protected:
    [[nodiscard]] awaitable<result<bool>> needs_pages(std::string digits) override;
    [[nodiscard]] awaitable<result<void>> list_range(std::string digits) override;

  private:
    const std::shared_ptr<azure_core> core_;
};

}  // namespace keepstore::volumes::azure
