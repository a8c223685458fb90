/// The index of a bucket: merges the listings of blocks and markers by key.
#pragma once

#include "volumes/cloud/parallel_listing.hpp"
#include "volumes/s3/s3_core.hpp"

#include <memory>
#include <string>

namespace keepstore::volumes::s3 {

class index_scan final : public cloud::parallel_listing {
  public:
    /// \param digits  lower-case hex, at most 32.
    index_scan(const std::shared_ptr<s3_core>& core, std::string digits, deadline until)
        : parallel_listing(core->loops, std::move(digits), until, core->options.parallel_index), core_(core) {}

  protected:
    [[nodiscard]] awaitable<result<bool>> needs_pages(std::string digits) override;
    [[nodiscard]] awaitable<result<void>> list_range(std::string digits) override;

  private:
    const std::shared_ptr<s3_core> core_;
};

}  // namespace keepstore::volumes::s3
